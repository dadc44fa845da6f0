-- The schema of the databases that people come from. Its ids have no default, a name is unique by an
-- index and not by a constraint, and updated_at is written by the application alone.

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
CREATE UNIQUE INDEX ix_users_id       ON users (id);
CREATE UNIQUE INDEX ix_users_username ON users (username);
CREATE UNIQUE INDEX ix_users_email    ON users (email);

CREATE TABLE roles (
    id           uuid PRIMARY KEY,
    name         varchar(50) NOT NULL,
    description  text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ix_roles_id   ON roles (id);
CREATE UNIQUE INDEX ix_roles_name ON roles (name);

CREATE TABLE scopes (
    id           uuid PRIMARY KEY,
    name         varchar(100) NOT NULL,
    description  text,
    resource     varchar(50),
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX ix_scopes_id       ON scopes (id);
CREATE UNIQUE INDEX ix_scopes_name     ON scopes (name);
CREATE INDEX        ix_scopes_resource ON scopes (resource);

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
CREATE UNIQUE INDEX ix_service_clients_id        ON service_clients (id);
CREATE UNIQUE INDEX ix_service_clients_client_id ON service_clients (client_id);

CREATE TABLE user_roles (
    user_id  uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role_id  uuid NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, role_id)
);

CREATE TABLE role_scopes (
    role_id   uuid NOT NULL REFERENCES roles (id)  ON DELETE CASCADE,
    scope_id  uuid NOT NULL REFERENCES scopes (id) ON DELETE CASCADE,
    PRIMARY KEY (role_id, scope_id)
);

CREATE TABLE service_client_scopes (
    service_client_id  uuid NOT NULL REFERENCES service_clients (id) ON DELETE CASCADE,
    scope_id           uuid NOT NULL REFERENCES scopes (id) ON DELETE CASCADE,
    PRIMARY KEY (service_client_id, scope_id)
);

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
CREATE UNIQUE INDEX ix_refresh_tokens_id           ON refresh_tokens (id);
CREATE UNIQUE INDEX ix_refresh_tokens_token_id     ON refresh_tokens (token_id);
CREATE INDEX        ix_refresh_tokens_token_family ON refresh_tokens (token_family);

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
CREATE UNIQUE INDEX ix_user_sessions_id         ON user_sessions (id);
CREATE UNIQUE INDEX ix_user_sessions_session_id ON user_sessions (session_id);
