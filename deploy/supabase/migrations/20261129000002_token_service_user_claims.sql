-- What the platform knows of its users, for UserInfo and id tokens: oauth_id_token_claims is read, and nothing else.
-- Comes after the migrations before it. Additive, repeatable, and reversible, as those are.

-- By the platform's column names, without those that are null; which of them the table has is the platform's matter.
-- What is longer than any claim counts as nothing. Late bound: a platform without the table hears of it when asked.
CREATE OR REPLACE FUNCTION public.token_service_find_user_claims(args jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    known jsonb;
BEGIN
    IF args ->> 'user' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        SELECT to_jsonb(c) INTO known FROM public.oauth_id_token_claims c
        WHERE c.user_id = (args ->> 'user')::uuid LIMIT 1;
    END IF;
    IF known IS NULL THEN
        RETURN '{"error": "not_found"}';
    END IF;
    RETURN jsonb_build_object('claims', (
        SELECT coalesce(jsonb_object_agg(each.key, each.value), '{}') FROM jsonb_each(known) AS each
        WHERE jsonb_typeof(each.value) IN ('string', 'boolean', 'number') AND octet_length(each.value::text) <= 16384
            AND (each.key LIKE 'address\_%' OR each.key IN ('name', 'given_name', 'family_name', 'middle_name',
                'nickname', 'preferred_username', 'profile_url', 'picture_url', 'website', 'gender', 'birthdate',
                'zoneinfo', 'locale', 'updated_at', 'email', 'email_verified', 'phone_number',
                'phone_number_verified'))));
END $$;

-- As before, with the version of this file.
CREATE OR REPLACE FUNCTION public.token_service_check(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    known text;
BEGIN
    UPDATE public.token_service_state SET checks = checks + 1 WHERE id = 1 RETURNING identity INTO known;
    RETURN jsonb_build_object('version', 8, 'identity', known,
        'now_ms', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
END $$;

-- Nobody but the service's role may call what is new.
REVOKE ALL ON FUNCTION public.token_service_find_user_claims(jsonb) FROM PUBLIC, anon, authenticated;
GRANT EXECUTE ON FUNCTION public.token_service_find_user_claims(jsonb) TO service_role;

-- PostgREST learns of the function.
NOTIFY pgrst, 'reload schema';
