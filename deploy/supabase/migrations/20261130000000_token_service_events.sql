-- Events for EventBridge (docs/events.md): token_service_events is the outbox, written in the transaction of what it
-- tells, read in order and deleted when it was told. Comes after the migrations before it. Additive, repeatable and
-- reversible, as those are.

-- --- writing ---------------------------------------------------------------------------------------------------------

-- A transition's event, as before, and with a name of its own.
CREATE OR REPLACE FUNCTION public.token_service_key_event(new_kid text, old_kid text, transition text, reason text,
    now_s bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    INSERT INTO public.token_service_events (type, detail, created_at)
    VALUES ('keys_rotated', jsonb_strip_nulls(jsonb_build_object('eventId', replace(gen_random_uuid()::text, '-', ''),
        'newKeyId', nullif(new_kid, ''), 'oldKeyId', nullif(old_kid, ''), 'transition', transition,
        'reason', nullif(reason, ''))), to_timestamp(now_s::float8))
$$;

-- Positions are given in the order in which the events came. When a call is repeated because its answer was lost, its
-- events stand there twice: each has its own name in it, and whoever is told knows it by that.
CREATE OR REPLACE FUNCTION public.token_service_record_events(events jsonb) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    INSERT INTO public.token_service_events (type, detail, created_at)
    SELECT e.type, e.detail::jsonb, to_timestamp(e.at::float8)
    FROM ROWS FROM (jsonb_to_recordset(events) AS (type text, detail text, at bigint))
        WITH ORDINALITY AS e (type, detail, at, place)
    ORDER BY e.place
$$;

-- As before, and the events, when there are some.
CREATE OR REPLACE FUNCTION public.token_service_record(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    unlinked bigint := 0;
BEGIN
    PERFORM public.token_service_durably();
    IF jsonb_array_length(args -> 'tokens') > 0 THEN
        unlinked := public.token_service_record_tokens(args -> 'tokens');
    END IF;
    IF jsonb_array_length(args -> 'events') > 0 THEN
        PERFORM public.token_service_record_events(args -> 'events');
    END IF;
    IF jsonb_array_length(args -> 'revocations') > 0 THEN
        PERFORM public.token_service_record_revocations(args -> 'revocations');
    END IF;
    RETURN jsonb_build_object('unlinked', unlinked);
END $$;

-- Likewise.
CREATE OR REPLACE FUNCTION public.token_service_record_items(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    conflicts integer[];
    told jsonb;
BEGIN
    PERFORM public.token_service_durably();
    conflicts := public.token_service_change_items(args -> 'items');
    told := public.token_service_record(jsonb_build_object(
        'tokens', public.token_service_without_lists(args -> 'tokens', conflicts),
        'revocations', public.token_service_without_lists(args -> 'revocations', conflicts),
        'events', public.token_service_without_lists(coalesce(args -> 'events', '[]'), conflicts)));
    RETURN jsonb_build_object('conflicts', conflicts, 'unlinked', (told ->> 'unlinked')::bigint +
        public.token_service_mirror_items(args -> 'items', conflicts));
END $$;

-- --- telling ---------------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.token_service_list_events(args jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT jsonb_build_object('rows', coalesce(string_agg(line, E'\n' ORDER BY id), ''))
    FROM (SELECT e.id, jsonb_build_object('position', e.id, 'type', e.type, 'detail', e.detail::text,
              'at', public.token_service_seconds(e.created_at))::text AS line
          FROM public.token_service_events e
          WHERE e.id > (args ->> 'after')::bigint ORDER BY e.id LIMIT (args ->> 'max')::bigint) AS page
$$;

-- A position may be another event's since, after a fail-over to a server that lagged: so both must fit. Nobody waits
-- for the disk: what comes back after a crash is told once more.
CREATE OR REPLACE FUNCTION public.token_service_drop_events(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    DELETE FROM public.token_service_events t
    USING jsonb_to_recordset(args -> 'events') AS e (position bigint, event text)
    WHERE t.id = e.position AND coalesce(t.detail ->> 'eventId', '') = e.event;
    RETURN '{}';
END $$;

CREATE OR REPLACE FUNCTION public.token_service_count_events(args jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT jsonb_build_object(
        'count', (SELECT count(*) FROM (SELECT 1 FROM public.token_service_events
                                        LIMIT (args ->> 'max')::bigint) AS counted),
        'oldest', coalesce((SELECT public.token_service_seconds(e.created_at) FROM public.token_service_events e
                            ORDER BY e.id LIMIT 1), 0))
$$;

-- --- the rest --------------------------------------------------------------------------------------------------------

-- Which migrations there are.
CREATE OR REPLACE FUNCTION public.token_service_check(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    known text;
BEGIN
    UPDATE public.token_service_state SET checks = checks + 1 WHERE id = 1 RETURNING identity INTO known;
    RETURN jsonb_build_object('version', 9, 'identity', known,
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
