-- Takes back what the migration of the same name made, and all items with it: nobody stays logged in, and no refresh
-- token of a grant is good. Stop every instance first. The platform's own rows stay.

DROP FUNCTION IF EXISTS public.token_service_purge_items(jsonb), public.token_service_record_items(jsonb),
    public.token_service_without_lists(jsonb, integer[]), public.token_service_change_items(jsonb),
    public.token_service_put_items(jsonb, integer[], bigint[]), public.token_service_unfit_lists(jsonb),
    public.token_service_claim_items(jsonb),
    public.token_service_mirror_items(jsonb, integer[]), public.token_service_mirror_each(text, text[], text[]),
    public.token_service_mirror_kind(text, text[], text[]), public.token_service_unmirror(text, text[]),
    public.token_service_mirror_consents(text[]), public.token_service_mirror_grants(text[]),
    public.token_service_mirror_codes(text[]), public.token_service_body_list(jsonb, text),
    public.token_service_body_time(jsonb, text), public.token_service_linked_items(text, text[]),
    public.token_service_list_items(jsonb), public.token_service_find_item(jsonb);
DO $$
BEGIN
    IF to_regclass('public.token_service_items') IS NOT NULL THEN
        DROP FUNCTION IF EXISTS public.token_service_item_json(public.token_service_items);
        DROP TABLE public.token_service_items;
    END IF;
END $$;

-- The migration before this one says which version it is, unless it is gone as well.
DO $$
BEGIN
    IF to_regclass('public.token_service_state') IS NOT NULL THEN
        EXECUTE $check$
            CREATE OR REPLACE FUNCTION public.token_service_check(args jsonb) RETURNS jsonb
            LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $body$
            DECLARE
                known text;
            BEGIN
                UPDATE public.token_service_state SET checks = checks + 1 WHERE id = 1 RETURNING identity INTO known;
                RETURN jsonb_build_object('version', 5, 'identity', known,
                    'now_ms', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
            END $body$ $check$;
    END IF;
END $$;
NOTIFY pgrst, 'reload schema';
