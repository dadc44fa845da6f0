-- What a cluster knows and the documented schema has no place for. Every name begins with keystone_, so that
-- nothing of somebody else is met.

-- +goose Up
-- +goose StatementBegin
-- One row: what the copy is one of.
CREATE TABLE keystone_export (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    cluster_id   text        NOT NULL,
    log_index    bigint      NOT NULL, -- how far the cluster had come
    state_time   timestamptz NOT NULL, -- the cluster's own clock there
    exported_at  timestamptz NOT NULL DEFAULT now()
);

-- A user with nothing to say here has no row.
CREATE TABLE keystone_users (
    user_id          uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    username         varchar(50),     -- as it was typed, where that is not all lower case
    previous_hashes  text[] NOT NULL  -- of earlier passwords, which must not be chosen again; the latest at first
);

CREATE TABLE keystone_scopes (
    scope_id  uuid PRIMARY KEY REFERENCES scopes (id) ON DELETE CASCADE,
    action    varchar(50) NOT NULL
);

CREATE TABLE keystone_clients (
    service_client_id       uuid PRIMARY KEY REFERENCES service_clients (id) ON DELETE CASCADE,
    audiences               text[]  NOT NULL,
    default_lifetime        boolean NOT NULL, -- access_token_lifetime is what the cluster gives to all, not the client's own
    previous_secret_hash    varchar(255),     -- of the secret before the last rotation …
    previous_secret_until   timestamptz       -- … which is good until then
);

CREATE TABLE keystone_sessions (
    session_id        uuid PRIMARY KEY REFERENCES user_sessions (id) ON DELETE CASCADE,
    client_id         varchar(255),
    scopes            text[]      NOT NULL,
    authenticated_at  timestamptz NOT NULL
);

CREATE TABLE keystone_settings (
    name   text PRIMARY KEY,
    value  text NOT NULL
);

-- The audit log, each entry with the hash of the one before.
CREATE TABLE keystone_audit (
    sequence       bigint PRIMARY KEY,
    at             timestamptz NOT NULL,
    type           text   NOT NULL,
    actor          text,
    target         text,
    result         text   NOT NULL,
    reason         text,
    ip_address     text,
    user_agent     text,
    request_id     text,
    count          bigint NOT NULL,
    previous_hash  bytea  NOT NULL,
    hash           bytea  NOT NULL
);
CREATE INDEX keystone_audit_at     ON keystone_audit (at);
CREATE INDEX keystone_audit_target ON keystone_audit (target);

-- Without them the deletion of a user reads both tables from end to end.
CREATE INDEX IF NOT EXISTS keystone_user_sessions_user  ON user_sessions (user_id);
CREATE INDEX IF NOT EXISTS keystone_refresh_tokens_user ON refresh_tokens (user_id);
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
    name   text;
    filled boolean;
BEGIN
    FOREACH name IN ARRAY ARRAY['keystone_audit', 'keystone_settings', 'keystone_sessions', 'keystone_clients',
            'keystone_scopes', 'keystone_users', 'keystone_export'] LOOP
        CONTINUE WHEN to_regclass(name) IS NULL;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO filled;
        IF filled AND current_setting('keystone.drop_rows', true) IS DISTINCT FROM 'yes' THEN
            RAISE EXCEPTION USING ERRCODE = 'KS001', MESSAGE = name;
        END IF;
        EXECUTE format('DROP TABLE %I', name);
    END LOOP;
END
$$;
DROP INDEX IF EXISTS keystone_refresh_tokens_user;
DROP INDEX IF EXISTS keystone_user_sessions_user;
-- +goose StatementEnd
