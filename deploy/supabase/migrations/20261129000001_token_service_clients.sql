-- Clients with all that OAuth 2.0 and OpenID Connect need: what a client registered (RFC 7591), two secrets that
-- overlap, and a version, so that nobody undoes another's change. Comes after the migrations before it. Additive: no
-- column, row or constraint of the platform's is taken away. Repeatable, and reversible, as those are.
--
-- What has a column of the platform's is kept there: redirect_uris, allowed_grant_types, allowed_response_types,
-- require_pkce, token_endpoint_auth_method, jwks_uri, id_token_signed_response_alg, subject_type, application_type. The
-- rest is in token_service_metadata, by its names of RFC 7591.

ALTER TABLE public.oauth_clients ADD COLUMN IF NOT EXISTS token_service_metadata jsonb;
ALTER TABLE public.oauth_clients ADD COLUMN IF NOT EXISTS token_service_old_secret_hash text;
ALTER TABLE public.oauth_clients ADD COLUMN IF NOT EXISTS token_service_old_secret_until timestamptz;
ALTER TABLE public.oauth_clients ADD COLUMN IF NOT EXISTS token_service_version bigint NOT NULL DEFAULT 1;

-- Replaced by token_service_change_client.
DROP FUNCTION IF EXISTS public.token_service_set_client_active(jsonb), public.token_service_set_client_secret(jsonb);

-- --- who hears of a change -------------------------------------------------------------------------------------------

-- Whoever makes it, the platform too: what was read before it must not be written over it.
CREATE OR REPLACE FUNCTION public.token_service_count_client_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
BEGIN
    NEW.token_service_version := OLD.token_service_version + 1;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER token_service_clients_version
BEFORE UPDATE ON public.oauth_clients FOR EACH ROW EXECUTE FUNCTION public.token_service_count_client_change();

CREATE OR REPLACE TRIGGER token_service_clients_changed
AFTER INSERT OR DELETE OR UPDATE OF client_secret, client_name, client_type, redirect_uris, allowed_grant_types,
    allowed_response_types, allowed_scopes, require_pkce, access_token_ttl, refresh_token_ttl, id_token_ttl,
    token_endpoint_auth_method, jwks_uri, is_active, id_token_signed_response_alg, subject_type, application_type,
    token_service_metadata, token_service_old_secret_hash, token_service_old_secret_until
ON public.oauth_clients FOR EACH STATEMENT EXECUTE FUNCTION public.token_service_clients_changed();

-- --- reading ---------------------------------------------------------------------------------------------------------

-- One object of the columns and of the rest. What is longer than all that the service writes was not written by it, and
-- counts as nothing.
CREATE OR REPLACE FUNCTION public.token_service_client_metadata(client public.oauth_clients) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT CASE WHEN octet_length(whole.text) <= 65536 THEN whole.text ELSE '{}' END
    FROM (SELECT (CASE WHEN jsonb_typeof(client.token_service_metadata) = 'object'
                  THEN client.token_service_metadata ELSE '{}' END || jsonb_strip_nulls(jsonb_build_object(
        'redirect_uris', to_jsonb(client.redirect_uris), 'grant_types', to_jsonb(client.allowed_grant_types),
        'response_types', to_jsonb(client.allowed_response_types), 'require_pkce', client.require_pkce,
        'token_endpoint_auth_method', client.token_endpoint_auth_method, 'jwks_uri', nullif(client.jwks_uri, ''),
        'id_token_signed_response_alg', client.id_token_signed_response_alg, 'subject_type', client.subject_type,
        'application_type', client.application_type)))::text AS text) AS whole
$$;

CREATE OR REPLACE FUNCTION public.token_service_client_json(client public.oauth_clients) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT jsonb_build_object(
        'id', client.client_id, 'name', coalesce(client.client_name, ''),
        'is_public', client.client_type IS DISTINCT FROM 'confidential',
        'secret_hash', CASE WHEN client.client_type = 'confidential'
                       THEN public.token_service_secret_hash(client.client_secret) END,
        'old_secret_hash', CASE WHEN client.client_type = 'confidential' THEN client.token_service_old_secret_hash END,
        'old_secret_until', public.token_service_seconds(client.token_service_old_secret_until),
        'scopes', coalesce(array_to_string(client.allowed_scopes, ' '), ''),
        'access_ttl_s', coalesce(client.access_token_ttl, 0), 'refresh_ttl_s', coalesce(client.refresh_token_ttl, 0),
        'id_ttl_s', coalesce(client.id_token_ttl, 0), 'is_active', coalesce(client.is_active, false),
        'created_at', public.token_service_seconds(client.created_at),
        'metadata', public.token_service_client_metadata(client), 'version', client.token_service_version)
$$;

-- --- writing ---------------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.token_service_texts(list jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT CASE WHEN jsonb_typeof(list) = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(list)) ELSE '{}' END
$$;

-- What has no column of its own.
CREATE OR REPLACE FUNCTION public.token_service_further_metadata(metadata jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT metadata - ARRAY['redirect_uris', 'grant_types', 'response_types', 'require_pkce',
        'token_endpoint_auth_method', 'jwks_uri', 'id_token_signed_response_alg', 'subject_type', 'application_type']
$$;

CREATE OR REPLACE FUNCTION public.token_service_add_client(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    given jsonb := coalesce(args ->> 'metadata', '{}');
    without_secret bool := args ->> 'is_public';
BEGIN
    PERFORM public.token_service_durably();
    INSERT INTO public.oauth_clients (client_id, client_name, client_type, client_secret, redirect_uris,
        allowed_grant_types, allowed_response_types, allowed_scopes, require_pkce, access_token_ttl, refresh_token_ttl,
        id_token_ttl, token_endpoint_auth_method, jwks_uri, is_active, id_token_signed_response_alg, subject_type,
        application_type, created_at, token_service_metadata, token_service_old_secret_hash,
        token_service_old_secret_until)
    VALUES (args ->> 'id', args ->> 'name', CASE WHEN without_secret THEN 'public' ELSE 'confidential' END,
        CASE WHEN NOT without_secret THEN 'sha256:' || nullif(args ->> 'secret_hash', '') END,
        public.token_service_texts(given -> 'redirect_uris'), public.token_service_texts(given -> 'grant_types'),
        public.token_service_texts(given -> 'response_types'), string_to_array(args ->> 'scopes', ' '),
        given -> 'require_pkce' IS DISTINCT FROM 'false', nullif((args ->> 'access_ttl_s')::integer, 0),
        nullif((args ->> 'refresh_ttl_s')::integer, 0), nullif((args ->> 'id_ttl_s')::integer, 0),
        coalesce(given ->> 'token_endpoint_auth_method',
            CASE WHEN without_secret THEN 'none' ELSE 'client_secret_basic' END),
        given ->> 'jwks_uri', (args ->> 'is_active')::bool,
        coalesce(given ->> 'id_token_signed_response_alg', 'RS256'), coalesce(given ->> 'subject_type', 'public'),
        coalesce(given ->> 'application_type', 'web'), public.token_service_time((args ->> 'created_at')::bigint),
        public.token_service_further_metadata(given), nullif(args ->> 'old_secret_hash', ''),
        public.token_service_time((args ->> 'old_secret_until')::bigint))
    ON CONFLICT (client_id) DO NOTHING;
    RETURN CASE WHEN FOUND THEN '{}' ELSE '{"error": "conflict"}' END;
END $$;

-- The whole row but created_at, when its version is the one that was read. What says the same as before stays as it
-- stands: a plain secret of old, that others may still compare, or a client_type of the platform's own.
CREATE OR REPLACE FUNCTION public.token_service_change_client(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    given jsonb := args ->> 'metadata';
    without_secret bool := args ->> 'is_public';
BEGIN
    PERFORM public.token_service_durably();
    UPDATE public.oauth_clients c
    SET client_name = args ->> 'name',
        client_type = CASE WHEN without_secret = (c.client_type IS DISTINCT FROM 'confidential') THEN c.client_type
                      WHEN without_secret THEN 'public' ELSE 'confidential' END,
        client_secret = CASE WHEN without_secret OR args ->> 'secret_hash' =
                        coalesce(public.token_service_secret_hash(c.client_secret), '') THEN c.client_secret
                        ELSE 'sha256:' || nullif(args ->> 'secret_hash', '') END,
        redirect_uris = public.token_service_texts(given -> 'redirect_uris'),
        allowed_grant_types = public.token_service_texts(given -> 'grant_types'),
        allowed_response_types = public.token_service_texts(given -> 'response_types'),
        allowed_scopes = string_to_array(args ->> 'scopes', ' '),
        require_pkce = given -> 'require_pkce' IS DISTINCT FROM 'false',
        access_token_ttl = nullif((args ->> 'access_ttl_s')::integer, 0),
        refresh_token_ttl = nullif((args ->> 'refresh_ttl_s')::integer, 0),
        id_token_ttl = nullif((args ->> 'id_ttl_s')::integer, 0),
        token_endpoint_auth_method = coalesce(given ->> 'token_endpoint_auth_method', c.token_endpoint_auth_method),
        jwks_uri = given ->> 'jwks_uri', is_active = (args ->> 'is_active')::bool,
        id_token_signed_response_alg = coalesce(given ->> 'id_token_signed_response_alg', 'RS256'),
        subject_type = coalesce(given ->> 'subject_type', 'public'),
        application_type = coalesce(given ->> 'application_type', 'web'),
        token_service_metadata = public.token_service_further_metadata(given),
        token_service_old_secret_hash = nullif(args ->> 'old_secret_hash', ''),
        token_service_old_secret_until = public.token_service_time((args ->> 'old_secret_until')::bigint)
    WHERE c.client_id = args ->> 'id' AND c.token_service_version = (args ->> 'version')::bigint;
    IF FOUND THEN
        RETURN '{}';
    END IF;
    RETURN CASE WHEN EXISTS (SELECT FROM public.oauth_clients c WHERE c.client_id = args ->> 'id')
           THEN '{"error": "conflict"}' ELSE '{"error": "not_found"}' END;
END $$;

-- With the row goes what refers to it and is to go with it, as the platform has it. What is to keep the row keeps it.
CREATE OR REPLACE FUNCTION public.token_service_delete_client(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    PERFORM public.token_service_durably();
    DELETE FROM public.oauth_clients WHERE client_id = args ->> 'id';
    RETURN CASE WHEN FOUND THEN '{}' ELSE '{"error": "not_found"}' END;
EXCEPTION WHEN foreign_key_violation OR restrict_violation THEN
    RETURN '{"error": "conflict"}';
END $$;

-- --- the rest --------------------------------------------------------------------------------------------------------

-- Which migrations there are.
CREATE OR REPLACE FUNCTION public.token_service_check(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    known text;
BEGIN
    UPDATE public.token_service_state SET checks = checks + 1 WHERE id = 1 RETURNING identity INTO known;
    RETURN jsonb_build_object('version', 7, 'identity', known,
        'now_ms', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
END $$;

-- Nobody but the service's role may call what is new.
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT p.oid::regprocedure AS signature FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'public' AND p.proname LIKE 'token\_service\_%' LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, anon, authenticated', each.signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO service_role', each.signature);
    END LOOP;
END $$;

-- PostgREST learns of the functions.
NOTIFY pgrst, 'reload schema';
