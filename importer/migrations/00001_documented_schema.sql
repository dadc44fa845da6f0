-- The documented schema. A table that is there already is of the system that Keystone follows upon: it is
-- left as it is, and what an export needs of it was looked at before. The comment marks those made here, which
-- alone are taken back.

-- +goose Up
-- +goose StatementBegin
DO $$
BEGIN
    IF to_regclass('users') IS NULL THEN
        CREATE TABLE users (
            id                          uuid PRIMARY KEY,
            username                    varchar(50)  NOT NULL,
            email                       varchar(255) NOT NULL,
            password_hash               varchar(255) NOT NULL,
            first_name                  varchar(100),
            last_name                   varchar(100),
            display_name                varchar(100),
            bio                         text,
            is_active                   boolean NOT NULL DEFAULT true,
            is_verified                 boolean NOT NULL,
            is_superuser                boolean NOT NULL,
            last_login                  timestamptz,
            failed_login_attempts       integer NOT NULL DEFAULT 0,
            locked_until                timestamptz,
            password_changed_at         timestamptz NOT NULL DEFAULT now(),
            email_verification_token    varchar(255),
            email_verification_sent_at  timestamptz,
            password_reset_token        varchar(255),
            password_reset_sent_at      timestamptz,
            created_at                  timestamptz NOT NULL DEFAULT now(),
            updated_at                  timestamptz NOT NULL DEFAULT now()
        );
        CREATE UNIQUE INDEX ix_users_id ON users (id);
        CREATE UNIQUE INDEX ix_users_username ON users (username);
        CREATE UNIQUE INDEX ix_users_email ON users (email);
        COMMENT ON TABLE users IS 'made by keystone migrate';
    END IF;

    IF to_regclass('roles') IS NULL THEN
        CREATE TABLE roles (
            id           uuid PRIMARY KEY,
            name         varchar(50) NOT NULL,
            description  text,
            created_at   timestamptz NOT NULL DEFAULT now(),
            updated_at   timestamptz NOT NULL DEFAULT now()
        );
        CREATE UNIQUE INDEX ix_roles_id ON roles (id);
        CREATE UNIQUE INDEX ix_roles_name ON roles (name);
        COMMENT ON TABLE roles IS 'made by keystone migrate';
    END IF;

    IF to_regclass('scopes') IS NULL THEN
        CREATE TABLE scopes (
            id           uuid PRIMARY KEY,
            name         varchar(100) NOT NULL,
            description  text,
            resource     varchar(50),
            created_at   timestamptz NOT NULL DEFAULT now(),
            updated_at   timestamptz NOT NULL DEFAULT now()
        );
        CREATE UNIQUE INDEX ix_scopes_id ON scopes (id);
        CREATE UNIQUE INDEX ix_scopes_name ON scopes (name);
        CREATE INDEX ix_scopes_resource ON scopes (resource);
        COMMENT ON TABLE scopes IS 'made by keystone migrate';
    END IF;

    IF to_regclass('service_clients') IS NULL THEN
        CREATE TABLE service_clients (
            id                      uuid PRIMARY KEY,
            client_id               varchar(255) NOT NULL,
            client_secret_hash      varchar(255) NOT NULL,
            name                    varchar(100) NOT NULL,
            description             text,
            client_type             varchar(20) NOT NULL,
            is_active               boolean NOT NULL,
            is_trusted              boolean NOT NULL,
            access_token_lifetime   integer NOT NULL,
            refresh_token_lifetime  integer,
            rate_limit_per_minute   integer NOT NULL,
            rate_limit_per_hour     integer NOT NULL,
            last_used               timestamptz,
            total_requests          integer NOT NULL DEFAULT 0,
            contact_email           varchar(255),
            website_url             varchar(500),
            allowed_ips             text,
            webhook_url             varchar(500),
            created_at              timestamptz NOT NULL DEFAULT now(),
            updated_at              timestamptz NOT NULL DEFAULT now()
        );
        CREATE UNIQUE INDEX ix_service_clients_id ON service_clients (id);
        CREATE UNIQUE INDEX ix_service_clients_client_id ON service_clients (client_id);
        COMMENT ON TABLE service_clients IS 'made by keystone migrate';
    END IF;

    IF to_regclass('user_roles') IS NULL THEN
        CREATE TABLE user_roles (
            user_id  uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            role_id  uuid NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
            PRIMARY KEY (user_id, role_id)
        );
        COMMENT ON TABLE user_roles IS 'made by keystone migrate';
    END IF;

    IF to_regclass('role_scopes') IS NULL THEN
        CREATE TABLE role_scopes (
            role_id   uuid NOT NULL REFERENCES roles (id)  ON DELETE CASCADE,
            scope_id  uuid NOT NULL REFERENCES scopes (id) ON DELETE CASCADE,
            PRIMARY KEY (role_id, scope_id)
        );
        COMMENT ON TABLE role_scopes IS 'made by keystone migrate';
    END IF;

    IF to_regclass('service_client_scopes') IS NULL THEN
        CREATE TABLE service_client_scopes (
            service_client_id  uuid NOT NULL REFERENCES service_clients (id) ON DELETE CASCADE,
            scope_id           uuid NOT NULL REFERENCES scopes (id) ON DELETE CASCADE,
            PRIMARY KEY (service_client_id, scope_id)
        );
        COMMENT ON TABLE service_client_scopes IS 'made by keystone migrate';
    END IF;

    IF to_regclass('refresh_tokens') IS NULL THEN
        CREATE TABLE refresh_tokens (
            id                 uuid PRIMARY KEY,
            token_id           varchar(255) NOT NULL,
            token_hash         varchar(255) NOT NULL,
            expires_at         timestamptz NOT NULL,
            issued_at          timestamptz NOT NULL DEFAULT now(),
            is_revoked         boolean NOT NULL,
            is_used            boolean NOT NULL,
            client_ip          varchar(45),
            user_agent         text,
            token_family       varchar(255),
            parent_token_id    varchar(255),
            last_used_at       timestamptz,
            use_count          integer NOT NULL DEFAULT 0,
            revoked_at         timestamptz,
            revocation_reason  varchar(100),
            user_id            uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            created_at         timestamptz NOT NULL DEFAULT now(),
            updated_at         timestamptz NOT NULL DEFAULT now()
        );
        CREATE UNIQUE INDEX ix_refresh_tokens_id ON refresh_tokens (id);
        CREATE UNIQUE INDEX ix_refresh_tokens_token_id ON refresh_tokens (token_id);
        CREATE INDEX ix_refresh_tokens_token_family ON refresh_tokens (token_family);
        COMMENT ON TABLE refresh_tokens IS 'made by keystone migrate';
    END IF;

    IF to_regclass('user_sessions') IS NULL THEN
        CREATE TABLE user_sessions (
            id                 uuid PRIMARY KEY,
            session_id         varchar(255) NOT NULL,
            created_at         timestamptz NOT NULL DEFAULT now(),
            last_activity      timestamptz NOT NULL DEFAULT now(),
            expires_at         timestamptz NOT NULL,
            ip_address         varchar(45) NOT NULL,
            user_agent         text,
            is_active          boolean NOT NULL,
            access_token_jti   varchar(255),
            refresh_token_jti  varchar(255),
            user_id            uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
            updated_at         timestamptz NOT NULL DEFAULT now()
        );
        CREATE UNIQUE INDEX ix_user_sessions_id ON user_sessions (id);
        CREATE UNIQUE INDEX ix_user_sessions_session_id ON user_sessions (session_id);
        COMMENT ON TABLE user_sessions IS 'made by keystone migrate';
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
    name   text;
    filled boolean;
BEGIN
    FOREACH name IN ARRAY ARRAY['user_sessions', 'refresh_tokens', 'service_client_scopes', 'role_scopes', 'user_roles', 'service_clients', 'scopes', 'roles', 'users'] LOOP
        CONTINUE WHEN to_regclass(name) IS NULL
            OR obj_description(to_regclass(name), 'pg_class') IS DISTINCT FROM 'made by keystone migrate';
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO filled;
        IF filled AND current_setting('keystone.drop_rows', true) IS DISTINCT FROM 'yes' THEN
            RAISE EXCEPTION USING ERRCODE = 'KS001', MESSAGE = name;
        END IF;
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
END
$$;
-- +goose StatementEnd
