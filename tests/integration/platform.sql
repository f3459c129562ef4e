-- The platform's schema as it stands before this service's migration: what a Supabase project brings along (roles,
-- auth.users), and the tables with the columns that matter. It is stricter than it need be, so that the migration and
-- the stores are tried against the worst: foreign keys that refuse, columns that may not be null.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'anon') THEN
        CREATE ROLE anon NOLOGIN;
        CREATE ROLE authenticated NOLOGIN;
        CREATE ROLE service_role NOLOGIN BYPASSRLS;
        CREATE ROLE authenticator LOGIN NOINHERIT PASSWORD 'authenticator';
        GRANT anon, authenticated, service_role TO authenticator;
    END IF;
END $$;

CREATE SCHEMA auth;
GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;
CREATE TABLE auth.users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email text UNIQUE);
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;

CREATE TABLE oauth_clients (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    client_id text NOT NULL UNIQUE,
    client_secret text,
    client_name text NOT NULL,
    client_type text NOT NULL CHECK (client_type IN ('confidential', 'public')),
    redirect_uris text[] NOT NULL,
    allowed_grant_types text[] NOT NULL DEFAULT '{authorization_code}',
    allowed_response_types text[] NOT NULL DEFAULT '{code}',
    allowed_scopes text[] NOT NULL DEFAULT '{openid}',
    require_pkce bool NOT NULL DEFAULT true,
    allowed_code_challenge_methods text[] NOT NULL DEFAULT '{S256}',
    access_token_ttl integer NOT NULL DEFAULT 3600,
    refresh_token_ttl integer NOT NULL DEFAULT 2592000,
    id_token_ttl integer NOT NULL DEFAULT 3600,
    token_endpoint_auth_method text NOT NULL DEFAULT 'client_secret_basic',
    jwks_uri text,
    is_active bool NOT NULL DEFAULT true,
    id_token_signed_response_alg text NOT NULL DEFAULT 'RS256',
    subject_type text NOT NULL DEFAULT 'public',
    application_type text NOT NULL DEFAULT 'web'
);

CREATE TABLE oauth_authorization_codes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    code text NOT NULL UNIQUE,
    client_id text NOT NULL REFERENCES oauth_clients (client_id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    redirect_uri text NOT NULL,
    scope text NOT NULL,
    state text,
    nonce text,
    code_challenge text,
    code_challenge_method text,
    session_id text,
    auth_time timestamptz,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

CREATE TABLE oauth_refresh_tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_hash text NOT NULL UNIQUE,
    client_id text NOT NULL REFERENCES oauth_clients (client_id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    scope text NOT NULL,
    previous_token_hash text,
    rotation_count integer NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz,
    revoked_by text,
    revocation_reason text,
    device_id text,
    session_id text
);

CREATE TABLE oauth_access_tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    token_hash text NOT NULL UNIQUE,
    client_id text NOT NULL REFERENCES oauth_clients (client_id) ON DELETE CASCADE,
    user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE,
    scope text NOT NULL,
    audience text[] NOT NULL,
    token_type text NOT NULL DEFAULT 'Bearer',
    expires_at timestamptz NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    refresh_token_id uuid REFERENCES oauth_refresh_tokens (id),
    revoked_at timestamptz,
    revoked_by text,
    last_used_at timestamptz,
    use_count integer NOT NULL DEFAULT 0
);

CREATE TABLE oauth_jwks (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kid text NOT NULL UNIQUE,
    kty text NOT NULL,
    use text NOT NULL DEFAULT 'sig',
    alg text NOT NULL,
    public_key text NOT NULL,
    private_key_encrypted text NOT NULL,
    valid_from timestamptz NOT NULL DEFAULT now(),
    valid_until timestamptz,
    revoked_at timestamptz,
    revocation_reason text,
    is_active bool NOT NULL DEFAULT true,
    rotated_from_kid text
);

CREATE TABLE oauth_consent_records (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    client_id text NOT NULL REFERENCES oauth_clients (client_id) ON DELETE CASCADE,
    granted_scopes text[] NOT NULL,
    consent_expires_at timestamptz,
    consent_revoked_at timestamptz
);

CREATE TABLE oauth_id_token_claims (
    user_id uuid PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE,
    preferred_username text, profile_url text, picture_url text, website text, email_verified bool, gender text,
    birthdate text, zoneinfo text, locale text, phone_number text, phone_number_verified bool,
    address_formatted text, address_street text, address_locality text, address_region text, address_postal_code text,
    address_country text
);

CREATE TABLE oauth_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_type text NOT NULL,
    client_id text REFERENCES oauth_clients (client_id) ON DELETE SET NULL,
    user_id uuid REFERENCES auth.users (id) ON DELETE SET NULL,
    event_data jsonb,
    success bool NOT NULL DEFAULT true,
    error_code text,
    error_description text,
    ip_address inet,
    user_agent text,
    session_id text,
    created_at timestamptz NOT NULL DEFAULT now()
);

DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename LIKE 'oauth\_%' LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY service_writes ON public.%I TO service_role USING (true) WITH CHECK (true)',
            name);
    END LOOP;
END $$;

-- A key of the service that this one replaces: it must be left alone.
INSERT INTO oauth_jwks (kid, kty, alg, public_key, private_key_encrypted)
VALUES ('old-service-key', 'RSA', 'RS256', '{"kty":"RSA","n":"AQAB","e":"AQAB"}', 'not usable');
