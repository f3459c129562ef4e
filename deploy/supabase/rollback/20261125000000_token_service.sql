-- Takes back what the migration of the same name made: what it added, and what was kept in there (revocations, key
-- states, unlinked tokens). Stop every instance first. The platform's own rows stay; keys of this service are rows of
-- oauth_jwks without a state afterwards, and clients without a lifetime of their own have the platform's default.

DROP TRIGGER IF EXISTS token_service_clients_changed ON public.oauth_clients;
DO $$
DECLARE
    each record;
BEGIN
    FOR each IN SELECT p.oid::regprocedure AS signature FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'public' AND p.proname LIKE 'token\_service\_%' LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', each.signature);
    END LOOP;
END $$;
DROP TABLE IF EXISTS public.token_service_unlinked_tokens, public.token_service_revocations,
    public.token_service_events, public.token_service_leases, public.token_service_state;
DROP SEQUENCE IF EXISTS public.token_service_positions;
DROP INDEX IF EXISTS public.token_service_one_active_key, public.token_service_one_pending_key,
    public.token_service_access_expiry, public.token_service_access_refresh, public.token_service_refresh_expiry;
ALTER TABLE public.oauth_refresh_tokens DROP COLUMN IF EXISTS issued_at, DROP COLUMN IF EXISTS audience,
    DROP COLUMN IF EXISTS jti;
ALTER TABLE public.oauth_access_tokens DROP COLUMN IF EXISTS revocation_reason, DROP COLUMN IF EXISTS jti;
ALTER TABLE public.oauth_jwks DROP COLUMN IF EXISTS lifetime_s, DROP COLUMN IF EXISTS disposed_at,
    DROP COLUMN IF EXISTS retire_after, DROP COLUMN IF EXISTS rotate_requested_at, DROP COLUMN IF EXISTS retired_at,
    DROP COLUMN IF EXISTS retiring_at, DROP COLUMN IF EXISTS activated_at, DROP COLUMN IF EXISTS published_at,
    DROP COLUMN IF EXISTS state;
UPDATE public.oauth_clients SET access_token_ttl = coalesce(access_token_ttl, 3600),
    refresh_token_ttl = coalesce(refresh_token_ttl, 2592000), id_token_ttl = coalesce(id_token_ttl, 3600);
ALTER TABLE public.oauth_clients ALTER COLUMN access_token_ttl SET NOT NULL;
ALTER TABLE public.oauth_clients ALTER COLUMN refresh_token_ttl SET NOT NULL;
ALTER TABLE public.oauth_clients ALTER COLUMN id_token_ttl SET NOT NULL;
NOTIFY pgrst, 'reload schema';
