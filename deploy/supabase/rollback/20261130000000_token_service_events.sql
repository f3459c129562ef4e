-- Takes back what the migration of the same name made. The events stay, until the first migration is taken back. Stop
-- every instance first. If the migrations before this one are to stay, run them again after it: some of their functions
-- were replaced.

DROP FUNCTION IF EXISTS public.token_service_record_events(jsonb), public.token_service_list_events(jsonb),
    public.token_service_drop_events(jsonb), public.token_service_count_events(jsonb);
NOTIFY pgrst, 'reload schema';
