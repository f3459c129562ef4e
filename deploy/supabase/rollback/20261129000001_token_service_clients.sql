-- Takes back what the migration of the same name made: what clients registered beside the platform's columns, and the
-- second secrets. Stop every instance first. If the migrations before this one are to stay, run them again after it:
-- some of their functions were replaced.

DROP TRIGGER IF EXISTS token_service_clients_changed ON public.oauth_clients;
DROP TRIGGER IF EXISTS token_service_clients_version ON public.oauth_clients;
DROP FUNCTION IF EXISTS public.token_service_count_client_change(), public.token_service_change_client(jsonb),
    public.token_service_delete_client(jsonb), public.token_service_texts(jsonb),
    public.token_service_further_metadata(jsonb), public.token_service_client_metadata(public.oauth_clients);
ALTER TABLE public.oauth_clients DROP COLUMN IF EXISTS token_service_version,
    DROP COLUMN IF EXISTS token_service_old_secret_until, DROP COLUMN IF EXISTS token_service_old_secret_hash,
    DROP COLUMN IF EXISTS token_service_metadata;
NOTIFY pgrst, 'reload schema';
