-- What the token service needs beside the platform's tables. Additive: no column, row or constraint of the platform's
-- is taken away, but for three NOT NULLs (a client without a lifetime of its own has none). Repeatable: to run it again
-- changes nothing. Reversible: deploy/supabase/rollback has a script of the same name.
--
-- Every operation of the service is one call of a function below, so each is one transaction, over a connection, a
-- transaction pooler or PostgREST alike. A function takes one jsonb object and answers one; {"error": ...} in an answer
-- is a verdict ("conflict", "not_found"), not a failure. Times go in and out as seconds since 1970; 0: not yet. Names
-- are qualified; the search path that is set is for the platform's own triggers. No UPDATE or DELETE goes without a
-- WHERE: Supabase refuses such a one to PostgREST (safeupdate).

-- Else every subject would pass for no user of the platform's.
DO $$
BEGIN
    IF row_security_active('auth.users') OR NOT has_table_privilege('auth.users', 'SELECT') THEN
        RAISE EXCEPTION 'this must be run by a role that reads all of auth.users: postgres, in a Supabase project';
    END IF;
END $$;

-- --- columns, tables, indexes ----------------------------------------------------------------------------------------

ALTER TABLE public.oauth_clients ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now();
ALTER TABLE public.oauth_clients ALTER COLUMN access_token_ttl DROP NOT NULL;
ALTER TABLE public.oauth_clients ALTER COLUMN refresh_token_ttl DROP NOT NULL;
ALTER TABLE public.oauth_clients ALTER COLUMN id_token_ttl DROP NOT NULL;

-- A key's life. Rows without a state are of the service that was here before: they are neither published nor used.
-- private_key_encrypted says where the private half is: "kms:<ARN>", "envelope:<ARN>:<wrapped>", "file:<name>".
ALTER TABLE public.oauth_jwks ADD COLUMN IF NOT EXISTS state text
    CHECK (state IN ('pending', 'active', 'retiring', 'retired', 'revoked'));
ALTER TABLE public.oauth_jwks ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT now();
ALTER TABLE public.oauth_jwks ADD COLUMN IF NOT EXISTS published_at timestamptz;
ALTER TABLE public.oauth_jwks ADD COLUMN IF NOT EXISTS activated_at timestamptz;
ALTER TABLE public.oauth_jwks ADD COLUMN IF NOT EXISTS retiring_at timestamptz;
ALTER TABLE public.oauth_jwks ADD COLUMN IF NOT EXISTS retired_at timestamptz;
ALTER TABLE public.oauth_jwks ADD COLUMN IF NOT EXISTS rotate_requested_at timestamptz;
ALTER TABLE public.oauth_jwks ADD COLUMN IF NOT EXISTS retire_after timestamptz;
ALTER TABLE public.oauth_jwks ADD COLUMN IF NOT EXISTS disposed_at timestamptz;
ALTER TABLE public.oauth_jwks ADD COLUMN IF NOT EXISTS lifetime_s bigint NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX IF NOT EXISTS token_service_one_active_key ON public.oauth_jwks (state) WHERE state = 'active';
CREATE UNIQUE INDEX IF NOT EXISTS token_service_one_pending_key ON public.oauth_jwks (state) WHERE state = 'pending';

ALTER TABLE public.oauth_access_tokens ADD COLUMN IF NOT EXISTS jti text;
ALTER TABLE public.oauth_access_tokens ADD COLUMN IF NOT EXISTS revocation_reason text;
ALTER TABLE public.oauth_refresh_tokens ADD COLUMN IF NOT EXISTS jti text;
ALTER TABLE public.oauth_refresh_tokens ADD COLUMN IF NOT EXISTS audience text[];
ALTER TABLE public.oauth_refresh_tokens ADD COLUMN IF NOT EXISTS issued_at timestamptz;
CREATE INDEX IF NOT EXISTS token_service_access_expiry ON public.oauth_access_tokens (expires_at);
CREATE INDEX IF NOT EXISTS token_service_access_refresh ON public.oauth_access_tokens (refresh_token_id)
    WHERE refresh_token_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS token_service_refresh_expiry ON public.oauth_refresh_tokens (expires_at);

-- Tokens whose subject is no user of auth.users, or whose client is not in oauth_clients: the platform's tables can't
-- hold them, and what was issued is not forgotten.
CREATE TABLE IF NOT EXISTS public.token_service_unlinked_tokens (
    token_hash text PRIMARY KEY,
    token_kind text NOT NULL,
    jti text NOT NULL,
    subject text NOT NULL,
    client_id text NOT NULL,
    scope text NOT NULL,
    audience text[] NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_by text,
    revocation_reason text
);
CREATE INDEX IF NOT EXISTS token_service_unlinked_expiry ON public.token_service_unlinked_tokens (expires_at);

-- Instances read on from the last position that they know. So positions must become visible in their order: whoever
-- takes one holds a lock until its transaction has ended (token_service_record).
CREATE SEQUENCE IF NOT EXISTS public.token_service_positions;
CREATE TABLE IF NOT EXISTS public.token_service_revocations (
    position bigint PRIMARY KEY DEFAULT nextval('public.token_service_positions'),
    token_hash text NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL,
    reason text NOT NULL,
    revoked_by text NOT NULL,
    revoked_at timestamptz NOT NULL
);
-- A rule refuses every token of its target (a subject, a client, a session; or all) that was issued at `issued_before`
-- or earlier. Its token_hash is its own. kind is null where one token is revoked.
ALTER TABLE public.token_service_revocations ADD COLUMN IF NOT EXISTS kind text
    CHECK (kind IN ('subject', 'client', 'session', 'all'));
ALTER TABLE public.token_service_revocations ADD COLUMN IF NOT EXISTS issued_before timestamptz;
ALTER TABLE public.token_service_revocations ADD COLUMN IF NOT EXISTS target text;
CREATE INDEX IF NOT EXISTS token_service_revocations_expiry ON public.token_service_revocations (expires_at);

-- What is to be told to others, written with what it tells.
CREATE TABLE IF NOT EXISTS public.token_service_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    type text NOT NULL,
    detail jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS token_service_events_created ON public.token_service_events (created_at);

-- Who does what only one instance should do, until when.
CREATE TABLE IF NOT EXISTS public.token_service_leases (
    name text PRIMARY KEY,
    holder text NOT NULL,
    expires_at timestamptz NOT NULL
);

-- One row: `clients` grows with each change to a client that matters here, `checks` with each check of readiness.
CREATE TABLE IF NOT EXISTS public.token_service_state (
    id integer PRIMARY KEY CHECK (id = 1),
    clients bigint NOT NULL,
    checks bigint NOT NULL
);
-- Which database this is: a copy of it, beside the keys, says whether both belong together (src/store/identity.h).
ALTER TABLE public.token_service_state ADD COLUMN IF NOT EXISTS identity text NOT NULL
    DEFAULT replace(gen_random_uuid()::text, '-', '');
INSERT INTO public.token_service_state VALUES (1, 0, 0) ON CONFLICT DO NOTHING;

-- Two answered jsonb once, and to replace a function does not change that.
DROP FUNCTION IF EXISTS public.token_service_revocations_since(jsonb), public.token_service_call(text, text);

-- --- parts of what follows -------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.token_service_time(seconds bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public, extensions, pg_temp AS
$$ SELECT to_timestamp(nullif(greatest(least(seconds, 9000000000000), -60000000000), 0)::float8) $$;

CREATE OR REPLACE FUNCTION public.token_service_seconds(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public, extensions, pg_temp AS
$$ SELECT CASE WHEN at >= '9999-12-31 UTC' THEN 253402214400 WHEN at > '1970-01-01 UTC'
   THEN floor(extract(epoch FROM at))::bigint ELSE 0 END $$;

-- That time, but no later than the database's own clock: what an instance whose clock is ahead takes for past.
CREATE OR REPLACE FUNCTION public.token_service_earlier(seconds bigint) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, public, extensions, pg_temp AS
$$ SELECT least(public.token_service_time(seconds), now()) $$;

-- What is acknowledged must be on disk, also where the database is set up to be quicker than that.
CREATE OR REPLACE FUNCTION public.token_service_durably() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

-- Of those ids, the ones that are users. The only thing here that reads auth.users, which the service's role may not.
CREATE OR REPLACE FUNCTION public.token_service_known_users(ids uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$ SELECT id FROM auth.users WHERE id = ANY (ids) $$;

CREATE OR REPLACE FUNCTION public.token_service_longest_client_lifetime() RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT coalesce(max(greatest(access_token_ttl, refresh_token_ttl, id_token_ttl)), 0)::bigint
    FROM public.oauth_clients
$$;

-- SHA-256 in hexadecimal of a client's secret; null when it has none that can be used. The column holds
-- "sha256:<64 hex digits>", or, of old, the secret itself. What looks like another kind of hash is no secret: else
-- whoever has read it could come in with it.
CREATE OR REPLACE FUNCTION public.token_service_secret_hash(client_secret text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT CASE
        WHEN client_secret ~ '^sha256:[0-9a-f]{64}$' THEN substr(client_secret, 8)
        WHEN client_secret = '' OR client_secret ~ '^(sha256:|[$]|[{][A-Za-z0-9-]+[}]|pbkdf2|scrypt|argon2)' THEN NULL
        ELSE encode(sha256(convert_to(client_secret, 'UTF8')), 'hex')
    END
$$;

-- For the operator, once nothing else compares plain secrets any more: SELECT token_service_hash_secrets();
CREATE OR REPLACE FUNCTION public.token_service_hash_secrets() RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    WITH hashed AS (
        UPDATE public.oauth_clients SET client_secret = 'sha256:' || public.token_service_secret_hash(client_secret)
        WHERE client_secret !~ '^sha256:[0-9a-f]{64}$' AND public.token_service_secret_hash(client_secret) IS NOT NULL
        RETURNING 1)
    SELECT count(*) FROM hashed
$$;

-- Whoever changes clients (the platform does too): instances look at them again, and the key that signs must outlive
-- their tokens.
CREATE OR REPLACE FUNCTION public.token_service_clients_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    longest bigint := public.token_service_longest_client_lifetime();
BEGIN
    UPDATE public.token_service_state SET clients = clients + 1 WHERE id = 1;
    UPDATE public.oauth_jwks SET lifetime_s = longest WHERE state = 'active' AND lifetime_s < longest;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER token_service_clients_changed
AFTER INSERT OR DELETE OR UPDATE OF client_secret, client_type, allowed_scopes, access_token_ttl, refresh_token_ttl,
    id_token_ttl, is_active
ON public.oauth_clients FOR EACH STATEMENT EXECUTE FUNCTION public.token_service_clients_changed();

-- --- clients ---------------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.token_service_client_json(client public.oauth_clients) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT jsonb_build_object(
        'id', client.client_id, 'name', coalesce(client.client_name, ''),
        'is_public', client.client_type IS DISTINCT FROM 'confidential',
        'secret_hash', CASE WHEN client.client_type = 'confidential'
                       THEN public.token_service_secret_hash(client.client_secret) END,
        'scopes', coalesce(array_to_string(client.allowed_scopes, ' '), ''),
        'access_ttl_s', coalesce(client.access_token_ttl, 0), 'refresh_ttl_s', coalesce(client.refresh_token_ttl, 0),
        'id_ttl_s', coalesce(client.id_token_ttl, 0), 'is_active', coalesce(client.is_active, false),
        'created_at', public.token_service_seconds(client.created_at))
$$;

CREATE OR REPLACE FUNCTION public.token_service_find_client(args jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT coalesce((SELECT public.token_service_client_json(c) FROM public.oauth_clients c
                     WHERE c.client_id = args ->> 'id'), '{"error": "not_found"}')
$$;

-- Lists are texts with an object a line.
CREATE OR REPLACE FUNCTION public.token_service_list_clients(args jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT jsonb_build_object('rows', coalesce(string_agg(line, E'\n' ORDER BY id COLLATE "C"), ''))
    FROM (SELECT c.client_id AS id, public.token_service_client_json(c)::text AS line FROM public.oauth_clients c
          WHERE c.client_id COLLATE "C" > args ->> 'after' OR NOT args ? 'after'
          ORDER BY c.client_id COLLATE "C" LIMIT (args ->> 'max')::bigint) AS page
$$;

CREATE OR REPLACE FUNCTION public.token_service_add_client(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    PERFORM public.token_service_durably();
    INSERT INTO public.oauth_clients (client_id, client_name, client_type, client_secret, redirect_uris,
        allowed_grant_types, allowed_response_types, allowed_scopes, require_pkce, access_token_ttl, refresh_token_ttl,
        id_token_ttl, token_endpoint_auth_method, is_active, created_at)
    VALUES (args ->> 'id', args ->> 'name',
        CASE WHEN (args ->> 'is_public')::bool THEN 'public' ELSE 'confidential' END,
        CASE WHEN NOT (args ->> 'is_public')::bool THEN 'sha256:' || (args ->> 'secret_hash') END, '{}', '{}', '{}',
        string_to_array(args ->> 'scopes', ' '), true, nullif((args ->> 'access_ttl_s')::integer, 0),
        nullif((args ->> 'refresh_ttl_s')::integer, 0), nullif((args ->> 'id_ttl_s')::integer, 0),
        CASE WHEN (args ->> 'is_public')::bool THEN 'none' ELSE 'client_secret_basic' END,
        (args ->> 'is_active')::bool, public.token_service_time((args ->> 'created_at')::bigint))
    ON CONFLICT (client_id) DO NOTHING;
    RETURN CASE WHEN FOUND THEN '{}' ELSE '{"error": "conflict"}' END;
END $$;

CREATE OR REPLACE FUNCTION public.token_service_set_client_active(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    PERFORM public.token_service_durably();
    UPDATE public.oauth_clients SET is_active = (args ->> 'active')::bool WHERE client_id = args ->> 'id';
    RETURN CASE WHEN FOUND THEN '{}' ELSE '{"error": "not_found"}' END;
END $$;

CREATE OR REPLACE FUNCTION public.token_service_set_client_secret(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    PERFORM public.token_service_durably();
    UPDATE public.oauth_clients SET client_secret = 'sha256:' || (args ->> 'secret_hash')
    WHERE client_id = args ->> 'id' AND client_type = 'confidential';
    RETURN CASE WHEN FOUND THEN '{}' ELSE '{"error": "not_found"}' END;
END $$;

-- --- keys ------------------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.token_service_key_json(key public.oauth_jwks) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT jsonb_build_object(
        'kid', key.kid, 'alg', key.alg, 'public_jwk', key.public_key, 'private_ref', key.private_key_encrypted,
        'state', key.state, 'created_at', public.token_service_seconds(key.created_at),
        'published_at', public.token_service_seconds(key.published_at),
        'activated_at', public.token_service_seconds(key.activated_at),
        'retiring_at', public.token_service_seconds(key.retiring_at),
        'retired_at', public.token_service_seconds(key.retired_at),
        'revoked_at', public.token_service_seconds(key.revoked_at),
        'rotate_requested_at', public.token_service_seconds(key.rotate_requested_at),
        'lifetime_s', key.lifetime_s, 'retire_after', public.token_service_seconds(key.retire_after),
        'disposed_at', public.token_service_seconds(key.disposed_at),
        'revocation_reason', coalesce(key.revocation_reason, ''),
        'rotated_from_kid', coalesce(key.rotated_from_kid, ''))
$$;

CREATE OR REPLACE FUNCTION public.token_service_list_keys(args jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT jsonb_build_object('rows',
        coalesce(string_agg(line, E'\n' ORDER BY created_at DESC, kid COLLATE "C"), ''))
    FROM (SELECT k.created_at, k.kid, public.token_service_key_json(k)::text AS line FROM public.oauth_jwks k
          WHERE k.state IN ('pending', 'active', 'retiring')
          ORDER BY k.created_at DESC, k.kid COLLATE "C" LIMIT (args ->> 'max')::bigint) AS live
$$;

CREATE OR REPLACE FUNCTION public.token_service_list_past_keys(args jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT jsonb_build_object('rows', coalesce(string_agg(line, E'\n' ORDER BY ended DESC, kid COLLATE "C"), ''))
    FROM (SELECT greatest(k.retired_at, k.revoked_at) AS ended, k.kid, public.token_service_key_json(k)::text AS line
          FROM public.oauth_jwks k
          WHERE k.state IN ('retired', 'revoked')
              AND (k.disposed_at IS NULL OR NOT (args ->> 'undisposed')::bool)
          ORDER BY ended DESC, k.kid COLLATE "C" LIMIT (args ->> 'max')::bigint) AS past
$$;

CREATE OR REPLACE FUNCTION public.token_service_find_key(args jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT coalesce((SELECT public.token_service_key_json(k) FROM public.oauth_jwks k
                     WHERE k.kid = args ->> 'kid' AND k.state IS NOT NULL), '{"error": "not_found"}')
$$;

-- A transition's event. Members without a value are left out.
CREATE OR REPLACE FUNCTION public.token_service_key_event(new_kid text, old_kid text, transition text, reason text,
    now_s bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    INSERT INTO public.token_service_events (type, detail, created_at)
    VALUES ('keys_rotated', jsonb_strip_nulls(jsonb_build_object('newKeyId', nullif(new_kid, ''), 'oldKeyId',
        nullif(old_kid, ''), 'transition', transition, 'reason', nullif(reason, ''))),
        to_timestamp(now_s::float8))
$$;

-- A first active key, or a pending one.
CREATE OR REPLACE FUNCTION public.token_service_add_key(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    is_first bool := args ->> 'state' = 'active';
BEGIN
    PERFORM public.token_service_durably();
    INSERT INTO public.oauth_jwks (kid, kty, use, alg, public_key, private_key_encrypted, state, created_at,
        published_at, activated_at, valid_from, is_active, lifetime_s)
    VALUES (args ->> 'kid', coalesce((args ->> 'public_jwk')::jsonb ->> 'kty', ''), 'sig', args ->> 'alg',
        args ->> 'public_jwk', args ->> 'private_ref', args ->> 'state',
        public.token_service_time((args ->> 'created_at')::bigint),
        public.token_service_time((args ->> 'published_at')::bigint),
        CASE WHEN is_first THEN public.token_service_time((args ->> 'activated_at')::bigint) END,
        to_timestamp(greatest((args ->> 'published_at')::bigint, (args ->> 'activated_at')::bigint)::float8), is_first,
        CASE WHEN is_first
        THEN greatest((args ->> 'lifetime_s')::bigint, public.token_service_longest_client_lifetime()) ELSE 0 END)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN '{"error": "conflict"}';
    END IF;
    PERFORM public.token_service_key_event(args ->> 'kid', '', CASE WHEN is_first THEN 'activated' ELSE 'published' END,
        '', (args ->> 'published_at')::bigint);
    RETURN '{}';
END $$;

-- pending -> active; false when it was not pending. The terms' lifetime is the least that the key may have signed.
CREATE OR REPLACE FUNCTION public.token_service_begin_signing(new_kid text, previous text, now_s bigint,
    lifetime bigint) RETURNS bool
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
BEGIN
    UPDATE public.oauth_jwks SET state = 'active', activated_at = public.token_service_time(now_s), is_active = true,
        valid_from = public.token_service_time(now_s), rotated_from_kid = previous,
        lifetime_s = greatest(lifetime, public.token_service_longest_client_lifetime())
    WHERE kid = new_kid AND state = 'pending';
    RETURN FOUND;
END $$;

-- The block with an EXCEPTION is undone as a whole when a step of it meets no row.
CREATE OR REPLACE FUNCTION public.token_service_activate_key(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    now_s bigint := (args ->> 'now_s')::bigint;
BEGIN
    PERFORM public.token_service_durably();
    UPDATE public.oauth_jwks SET state = 'retiring', is_active = false,
        retiring_at = public.token_service_time(now_s),
        retire_after = public.token_service_time(now_s + greatest((args ->> 'retiring_s')::bigint,
                                                           lifetime_s + (args ->> 'margin_s')::bigint)),
        valid_until = public.token_service_time(now_s + greatest((args ->> 'retiring_s')::bigint,
                                                          lifetime_s + (args ->> 'margin_s')::bigint))
    WHERE kid = args ->> 'previous' AND state = 'active';
    IF NOT FOUND OR NOT public.token_service_begin_signing(args ->> 'kid', args ->> 'previous', now_s,
            (args ->> 'lifetime_s')::bigint) THEN
        RAISE SQLSTATE 'TS409';
    END IF;
    PERFORM public.token_service_key_event(args ->> 'kid', args ->> 'previous', 'activated', '', now_s);
    RETURN '{}';
EXCEPTION WHEN SQLSTATE 'TS409' OR unique_violation THEN
    RETURN '{"error": "conflict"}';
END $$;

CREATE OR REPLACE FUNCTION public.token_service_retire_key(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    PERFORM public.token_service_durably();
    UPDATE public.oauth_jwks SET state = 'retired', retired_at = public.token_service_time((args ->> 'now_s')::bigint)
    WHERE kid = args ->> 'kid' AND state = 'retiring'
        AND retire_after <= public.token_service_earlier((args ->> 'now_s')::bigint);
    IF NOT FOUND THEN
        RETURN '{"error": "conflict"}';
    END IF;
    PERFORM public.token_service_key_event('', args ->> 'kid', 'retired', '', (args ->> 'now_s')::bigint);
    RETURN '{}';
END $$;

CREATE OR REPLACE FUNCTION public.token_service_revoke_key(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    now_s bigint := (args ->> 'now_s')::bigint;
    was text;
BEGIN
    PERFORM public.token_service_durably();
    SELECT state INTO was FROM public.oauth_jwks WHERE kid = args ->> 'kid' AND state IS NOT NULL FOR UPDATE;
    IF NOT FOUND THEN
        RETURN '{"error": "not_found"}';
    ELSIF was = 'revoked' THEN
        RETURN '{}';
    END IF;
    UPDATE public.oauth_jwks SET state = 'revoked', is_active = false,
        revoked_at = public.token_service_time(now_s), valid_until = public.token_service_time(now_s),
        revocation_reason = args ->> 'reason'
    WHERE kid = args ->> 'kid';
    IF was = 'active' AND NOT public.token_service_begin_signing(args ->> 'successor', args ->> 'kid', now_s,
            (args ->> 'lifetime_s')::bigint) THEN
        RAISE SQLSTATE 'TS409';
    END IF;
    PERFORM public.token_service_key_event(CASE WHEN was = 'active' THEN args ->> 'successor' ELSE '' END,
        args ->> 'kid', 'revoked', args ->> 'reason', now_s);
    RETURN '{}';
EXCEPTION WHEN SQLSTATE 'TS409' OR unique_violation THEN
    RETURN '{"error": "conflict"}';
END $$;

CREATE OR REPLACE FUNCTION public.token_service_request_rotation(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    PERFORM public.token_service_durably();
    UPDATE public.oauth_jwks
    SET rotate_requested_at = coalesce(rotate_requested_at, public.token_service_time((args ->> 'now_s')::bigint))
    WHERE kid = args ->> 'kid' AND state = 'active';
    RETURN CASE WHEN FOUND THEN '{}' ELSE '{"error": "conflict"}' END;
END $$;

CREATE OR REPLACE FUNCTION public.token_service_raise_key_lifetime(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    PERFORM public.token_service_durably();
    UPDATE public.oauth_jwks SET lifetime_s = (args ->> 'lifetime_s')::bigint
    WHERE state = 'active' AND lifetime_s < (args ->> 'lifetime_s')::bigint;
    RETURN '{}';
END $$;

CREATE OR REPLACE FUNCTION public.token_service_mark_key_disposed(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    PERFORM public.token_service_durably();
    UPDATE public.oauth_jwks SET disposed_at = public.token_service_time((args ->> 'now_s')::bigint)
    WHERE kid = args ->> 'kid' AND state IN ('retired', 'revoked');
    RETURN CASE WHEN FOUND THEN '{}' ELSE '{"error": "conflict"}' END;
END $$;

-- --- records ---------------------------------------------------------------------------------------------------------

-- Tokens go to the platform's tables when these can hold them. Answers how many could not be.
CREATE OR REPLACE FUNCTION public.token_service_record_tokens(tokens jsonb) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    unlinked bigint;
BEGIN
    WITH given AS MATERIALIZED (
        SELECT DISTINCT ON (hash) t.*, ARRAY(SELECT jsonb_array_elements_text(t.audience)) AS names,
            CASE WHEN subject ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN subject::uuid END AS user_id
        FROM jsonb_to_recordset(tokens) AS t (kind text, hash text, jti text, subject text, client text, scope text,
            audience jsonb, issued bigint, expires bigint)
        ORDER BY hash, expires DESC
    ), linked AS MATERIALIZED (
        SELECT given.hash, given.kind, given.jti, given.client, given.scope, given.names, given.issued, given.expires,
            given.user_id
        FROM given
        JOIN public.oauth_clients c ON c.client_id = given.client
        JOIN public.token_service_known_users((SELECT array_agg(user_id) FROM given)) AS known (user_id) USING (user_id)
    ), access AS (
        INSERT INTO public.oauth_access_tokens AS old (token_hash, jti, client_id, user_id, scope, audience, token_type,
            issued_at, expires_at)
        SELECT hash, jti, client, user_id, scope, names, 'Bearer', to_timestamp(issued), to_timestamp(expires)
        FROM linked WHERE kind <> 'refresh'
        -- again: nothing changes, but the row is locked, so that this commit waits for a standby as the first one did
        ON CONFLICT (token_hash) DO UPDATE SET expires_at = old.expires_at WHERE false
    ), refresh AS (
        INSERT INTO public.oauth_refresh_tokens AS old (token_hash, jti, client_id, user_id, scope, audience,
            issued_at, expires_at)
        SELECT hash, jti, client, user_id, scope, names, to_timestamp(issued), to_timestamp(expires)
        FROM linked WHERE kind = 'refresh'
        ON CONFLICT (token_hash) DO UPDATE SET expires_at = greatest(old.expires_at, excluded.expires_at)
    ), rest AS (
        INSERT INTO public.token_service_unlinked_tokens AS old (token_hash, token_kind, jti, subject, client_id,
            scope, audience, issued_at, expires_at)
        SELECT hash, kind, jti, subject, client, scope, names, to_timestamp(issued), to_timestamp(expires)
        FROM given WHERE NOT EXISTS (SELECT FROM linked WHERE linked.hash = given.hash)
        ON CONFLICT (token_hash) DO UPDATE SET expires_at = greatest(old.expires_at, excluded.expires_at)
        RETURNING 1
    )
    SELECT count(*) INTO unlinked FROM rest;
    RETURN unlinked;
END $$;

-- An entry that must be kept for longer, or refuse more, gets a new position, so that those who follow hear of it.
CREATE OR REPLACE FUNCTION public.token_service_record_revocations(revocations jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
BEGIN
    -- Held until this transaction has ended and is seen by all: so whoever has read position n will meet no lower one.
    PERFORM pg_advisory_xact_lock(hashtextextended('token_service_positions', 0));
    INSERT INTO public.token_service_revocations AS old (token_hash, expires_at, reason, revoked_by, revoked_at, kind,
        issued_before, target)
    SELECT hash, to_timestamp(expires), reason, revoked_by, to_timestamp(at), rule, to_timestamp(before), target
    FROM (SELECT DISTINCT ON (hash) hash, max(expires) OVER (PARTITION BY hash) AS expires, reason, revoked_by, at,
              rule, before, target, place
          FROM ROWS FROM (jsonb_to_recordset(revocations) AS (hash text, expires bigint, reason text, revoked_by text,
              at bigint, rule text, before bigint, target text))
              WITH ORDINALITY AS r (hash, expires, reason, revoked_by, at, rule, before, target, place)
          ORDER BY hash, before DESC, r.expires DESC) AS each
    ORDER BY place
    ON CONFLICT (token_hash) DO UPDATE SET position = excluded.position,
        expires_at = greatest(old.expires_at, excluded.expires_at),
        issued_before = greatest(old.issued_before, excluded.issued_before),
        reason = excluded.reason, revoked_by = excluded.revoked_by, revoked_at = excluded.revoked_at
    WHERE old.expires_at < excluded.expires_at OR old.issued_before < excluded.issued_before;

    UPDATE public.oauth_access_tokens t
    SET revoked_at = to_timestamp(r.at), revoked_by = r.revoked_by, revocation_reason = r.reason
    FROM jsonb_to_recordset(revocations) AS r (kind text, hash text, reason text, revoked_by text, at bigint)
    WHERE r.kind = 'access' AND t.token_hash = r.hash AND t.revoked_at IS NULL;

    UPDATE public.oauth_refresh_tokens t
    SET revoked_at = to_timestamp(r.at), revoked_by = r.revoked_by, revocation_reason = r.reason
    FROM jsonb_to_recordset(revocations) AS r (kind text, hash text, reason text, revoked_by text, at bigint)
    WHERE r.kind = 'refresh' AND t.token_hash = r.hash AND t.revoked_at IS NULL;

    UPDATE public.token_service_unlinked_tokens t
    SET revoked_at = to_timestamp(r.at), revoked_by = r.revoked_by, revocation_reason = r.reason
    FROM jsonb_to_recordset(revocations) AS r (kind text, hash text, reason text, revoked_by text, at bigint)
    WHERE r.kind IN ('access', 'refresh') AND t.token_hash = r.hash AND t.revoked_at IS NULL;
END $$;

-- Many requests' records: all of them or none.
CREATE OR REPLACE FUNCTION public.token_service_record(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    unlinked bigint := 0;
BEGIN
    PERFORM public.token_service_durably();
    IF jsonb_array_length(args -> 'tokens') > 0 THEN
        unlinked := public.token_service_record_tokens(args -> 'tokens');
    END IF;
    IF jsonb_array_length(args -> 'revocations') > 0 THEN
        PERFORM public.token_service_record_revocations(args -> 'revocations');
    END IF;
    RETURN jsonb_build_object('unlinked', unlinked);
END $$;

-- Whose positions these are. A standby that takes over (another timeline), a restored backup (another cluster, database
-- or file of the table) gives some of them a second time, to other revocations; a standby has none to give, and fails
-- here. Where a host hides the first two, what is left must do.
CREATE OR REPLACE FUNCTION public.token_service_epoch() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    cluster text := '';
BEGIN
    BEGIN
        cluster := (SELECT system_identifier FROM pg_control_system()) || '-' ||
            left(pg_walfile_name(pg_current_wal_lsn()), 8);
    EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_function THEN
        NULL;
    END;
    RETURN concat_ws('-', cluster, (SELECT oid FROM pg_database WHERE datname = current_database()),
        pg_relation_filenode('public.token_service_revocations'));
END $$;

-- "position hash expiry reason", of a rule "position hash expiry reason kind before", divided by commas; the reason in
-- hexadecimal (its first 256 characters, so that a page is bounded). A start reads a million of these: so nothing in it
-- has to be escaped, what does not change is worked out once, and the answer is json, a text as it stands, where jsonb
-- would be taken apart and put together again.
CREATE OR REPLACE FUNCTION public.token_service_revocations_since(args jsonb) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    after bigint := args ->> 'after';
    expired timestamptz := CASE WHEN (args ->> 'now_s')::bigint = 0 THEN to_timestamp(0)
                           ELSE public.token_service_earlier((args ->> 'now_s')::bigint) END;
    room bigint := args ->> 'max';
BEGIN
    RETURN (SELECT '{"rows":"' || coalesce(string_agg(concat_ws(' ', page.position, page.token_hash,
            date_part('epoch', least(page.expires_at, '9999-12-31 UTC'))::bigint,
            encode(convert_to(left(page.reason, 256), 'UTF8'), 'hex'), page.kind,
            CASE WHEN page.kind IS NOT NULL THEN public.token_service_seconds(page.issued_before) END), ','), '') ||
            '","epoch":"' || public.token_service_epoch() || '","last":' ||
            (SELECT last_value FROM public.token_service_positions) || '}'
        FROM (SELECT r.position, r.token_hash, r.expires_at, r.reason, r.kind, r.issued_before
              FROM public.token_service_revocations r
              WHERE r.position > after AND r.expires_at > expired ORDER BY r.position LIMIT room) AS page)::json;
END $$;

-- How often tokens were used. One instance after the other, since many may have used the same token; and a row that is
-- being revoked is left out, so that a revocation never waits in a circle with this. What is lost with the last seconds
-- before a crash is no more than what instances hold in memory anyway: so nobody waits for the disk.
CREATE OR REPLACE FUNCTION public.token_service_count_usage(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('token_service_usage', 0));
    WITH used AS MATERIALIZED (
        SELECT u.hash, sum(u.times) AS times, to_timestamp(max(u.at)) AS at
        FROM jsonb_to_recordset(args -> 'access') AS u (hash text, times bigint, at bigint) GROUP BY u.hash
    ), free AS MATERIALIZED (
        SELECT t.id, used.times, used.at FROM used JOIN public.oauth_access_tokens t ON t.token_hash = used.hash
        FOR NO KEY UPDATE OF t SKIP LOCKED
    )
    UPDATE public.oauth_access_tokens t
    SET use_count = least(t.use_count + free.times, 2147483647)::integer,
        last_used_at = greatest(t.last_used_at, least(free.at, now()))
    FROM free WHERE t.id = free.id;

    WITH used AS MATERIALIZED (
        SELECT u.hash, to_timestamp(max(u.at)) AS at
        FROM jsonb_to_recordset(args -> 'refresh') AS u (hash text, at bigint) GROUP BY u.hash
    ), free AS MATERIALIZED (
        SELECT t.id, used.at FROM used JOIN public.oauth_refresh_tokens t ON t.token_hash = used.hash
        FOR NO KEY UPDATE OF t SKIP LOCKED
    )
    UPDATE public.oauth_refresh_tokens t SET last_used_at = greatest(t.last_used_at, least(free.at, now()))
    FROM free WHERE t.id = free.id;
    RETURN '{}';
END $$;

-- Rows that somebody is working on are left for the next time: a purge waits for nobody. No clock of ours deletes:
-- what ended by the database's own is kept for another hour, a revocation for a day (store.h has the same), since a
-- token whose revocation is gone is good again wherever a clock is behind.
CREATE OR REPLACE FUNCTION public.token_service_purge(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    expired timestamptz := public.token_service_earlier((args ->> 'now_s')::bigint) - interval '1 hour';
    long_expired timestamptz := expired - interval '23 hours';
    room bigint := (args ->> 'max')::bigint;
    -- Of access tokens, what the steps before this one have deleted is passed over: until a vacuum, the index still
    -- has it, and each step would look through all of that again.
    gone_until timestamptz := coalesce(public.token_service_time((args ->> 'after')::bigint), '-infinity');
    gone bigint;
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true); -- what comes back after a crash is deleted again
    WITH deleted AS (
        DELETE FROM public.oauth_access_tokens WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM public.oauth_access_tokens WHERE expires_at >= gone_until AND expires_at < expired
            ORDER BY expires_at LIMIT room FOR UPDATE SKIP LOCKED))
        RETURNING expires_at)
    SELECT count(*), coalesce(max(deleted.expires_at), gone_until) INTO gone, gone_until FROM deleted;
    room := room - gone;
    DELETE FROM public.oauth_refresh_tokens WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM public.oauth_refresh_tokens r WHERE expires_at < expired
            AND NOT EXISTS (SELECT FROM public.oauth_access_tokens a WHERE a.refresh_token_id = r.id)
        ORDER BY expires_at LIMIT room FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    room := room - gone;
    DELETE FROM public.token_service_unlinked_tokens WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM public.token_service_unlinked_tokens WHERE expires_at < expired
        ORDER BY expires_at LIMIT room FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    room := room - gone;
    DELETE FROM public.token_service_revocations WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM public.token_service_revocations WHERE expires_at < long_expired
        ORDER BY expires_at LIMIT room FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    room := room - gone;
    DELETE FROM public.token_service_events WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM public.token_service_events WHERE created_at < expired - interval '30 days'
        ORDER BY created_at LIMIT room FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    room := room - gone;
    RETURN jsonb_build_object('deleted', (args ->> 'max')::bigint - room,
        'until', public.token_service_seconds(gone_until));
END $$;

-- --- the rest --------------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.token_service_changes(args jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS
$$ SELECT jsonb_build_object('clients', clients) FROM public.token_service_state $$;

-- Reads and writes; and says which version of this file it is.
CREATE OR REPLACE FUNCTION public.token_service_check(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    known text;
BEGIN
    UPDATE public.token_service_state SET checks = checks + 1 WHERE id = 1 RETURNING identity INTO known;
    RETURN jsonb_build_object('version', 5, 'identity', known,
        'now_ms', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
END $$;

CREATE OR REPLACE FUNCTION public.token_service_take_lease(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    INSERT INTO public.token_service_leases AS held (name, holder, expires_at)
    VALUES (args ->> 'name', args ->> 'holder', now() + make_interval(secs => (args ->> 'ttl_s')::float8))
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
    WHERE held.holder = excluded.holder OR held.expires_at <= now();
    RETURN CASE WHEN FOUND THEN '{}' ELSE '{"error": "conflict"}' END;
END $$;

CREATE OR REPLACE FUNCTION public.token_service_drop_lease(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    DELETE FROM public.token_service_leases WHERE name = args ->> 'name' AND holder = args ->> 'holder';
    RETURN '{}';
END $$;

-- The one that is called through PostgREST, by the name of another without its token_service_. Arguments as a text: of
-- an object, some servers that are compatible otherwise make a JSON string.
CREATE OR REPLACE FUNCTION public.token_service_call(function text, args text) RETURNS json
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    answer json;
BEGIN
    EXECUTE format('SELECT public.%I($1)', 'token_service_' || function) INTO answer USING args::jsonb;
    RETURN answer;
END $$;

-- --- who may ---------------------------------------------------------------------------------------------------------

-- Everything here is for the service's role alone: no policy lets anybody else in, and nobody else may call.
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT tablename AS name FROM pg_tables
        WHERE schemaname = 'public' AND tablename LIKE 'token\_service\_%' LOOP
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', each.name);
        EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, anon, authenticated', each.name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.%I TO service_role', each.name);
    END LOOP;
    REVOKE ALL ON SEQUENCE public.token_service_positions FROM PUBLIC, anon, authenticated;
    GRANT USAGE, SELECT ON SEQUENCE public.token_service_positions TO service_role;
    FOR each IN SELECT p.oid::regprocedure AS signature FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'public' AND p.proname LIKE 'token\_service\_%' LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, anon, authenticated', each.signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO service_role', each.signature);
    END LOOP;
END $$;

-- PostgREST learns of the functions.
NOTIFY pgrst, 'reload schema';
