-- Items: what the OAuth protocols have to remember between requests (src/store/item.h). Additive, repeatable and
-- reversible like the migration before this one, which must have been run.

-- --- the table -------------------------------------------------------------------------------------------------------

-- id: SHA-256 in hexadecimal. changes: the names of the last four, the latest first, so that one whose answer was lost
-- is known when it comes again. An item without a body was deleted: nobody finds it, and it is purged an hour later.
CREATE TABLE IF NOT EXISTS public.token_service_items (
    kind text COLLATE "C" NOT NULL
        CHECK (kind IN ('code', 'grant', 'session', 'login', 'consent', 'once', 'notice')),
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    changes bigint[] NOT NULL,
    expires_at timestamptz NOT NULL,
    client_id text NOT NULL,
    subject text NOT NULL,
    sid text NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS token_service_items_expiry ON public.token_service_items (expires_at);
CREATE INDEX IF NOT EXISTS token_service_items_client ON public.token_service_items (kind, client_id, id)
    WHERE client_id <> '';
CREATE INDEX IF NOT EXISTS token_service_items_subject ON public.token_service_items (kind, subject, id)
    WHERE subject <> '';
CREATE INDEX IF NOT EXISTS token_service_items_sid ON public.token_service_items (kind, sid, id) WHERE sid <> '';

-- --- reading ---------------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION public.token_service_item_json(item public.token_service_items) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT jsonb_build_object('id', item.id, 'version', item.version,
        'expires', public.token_service_seconds(item.expires_at), 'client', item.client_id, 'subject', item.subject,
        'sid', item.sid, 'body', item.body)
$$;

CREATE OR REPLACE FUNCTION public.token_service_find_item(args jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT coalesce((SELECT public.token_service_item_json(i) FROM public.token_service_items i
                     WHERE i.kind = args ->> 'kind' AND i.id = args ->> 'id' AND i.body <> ''),
                    '{"error": "not_found"}')
$$;

-- Planned anew for each call, which knows what it is asked: so one of the indexes fits, where a plan for all calls
-- would read every item of the kind.
CREATE OR REPLACE FUNCTION public.token_service_list_items(args jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    lines text;
BEGIN
    EXECUTE $list$
        SELECT string_agg(line, E'\n' ORDER BY id)
        FROM (SELECT i.id, public.token_service_item_json(i)::text AS line FROM public.token_service_items i
              WHERE i.kind = $1 AND i.id > $2 AND ($3 = '' OR i.client_id = $3) AND ($4 = '' OR i.subject = $4)
                  AND ($5 = '' OR i.sid = $5) AND i.body <> ''
              ORDER BY i.id LIMIT $6) AS page $list$
    INTO lines USING args ->> 'kind', args ->> 'after', args ->> 'client', args ->> 'subject', args ->> 'sid',
        (args ->> 'max')::bigint;
    RETURN jsonb_build_object('rows', coalesce(lines, ''));
END $$;

-- --- the platform's own tables ---------------------------------------------------------------------------------------

-- Those items whose subject is a user and whose client the platform knows: its tables can hold no others.
CREATE OR REPLACE FUNCTION public.token_service_linked_items(of_kind text, ids text[])
RETURNS TABLE (id text, client_id text, user_id uuid, sid text, expires_at timestamptz, body jsonb)
LANGUAGE sql STABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    WITH given AS MATERIALIZED (
        SELECT i.id, i.client_id, i.sid, i.expires_at, i.body::jsonb AS body,
            CASE WHEN i.subject ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN i.subject::uuid END AS user_id
        FROM public.token_service_items i WHERE i.kind = of_kind AND i.id = ANY (ids)
    )
    SELECT given.id, given.client_id, given.user_id, given.sid, given.expires_at, given.body
    FROM given
    JOIN public.oauth_clients c ON c.client_id = given.client_id
    JOIN public.token_service_known_users((SELECT array_agg(user_id) FROM given)) AS known (user_id)
        ON known.user_id = given.user_id
$$;

-- A text, a number or a list of a body; null where there is none. What is of another type is an error, so that its row
-- is left out and counted.
CREATE OR REPLACE FUNCTION public.token_service_body_time(body jsonb, name text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, extensions, pg_temp AS
$$ SELECT CASE WHEN body ->> name IS NOT NULL THEN public.token_service_time((body ->> name)::bigint) END $$;

CREATE OR REPLACE FUNCTION public.token_service_body_list(body jsonb, name text) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, extensions, pg_temp AS
$$ SELECT CASE WHEN jsonb_typeof(body -> name) <> 'null' THEN ARRAY(SELECT jsonb_array_elements_text(body -> name)) END
$$;

-- The functions below answer how many of the items are in the platform's table now.
--
-- A row of oauth_authorization_codes for each code; what stands there for the code is its hash.
CREATE OR REPLACE FUNCTION public.token_service_mirror_codes(ids text[]) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    WITH written AS (
        INSERT INTO public.oauth_authorization_codes AS old (code, client_id, user_id, redirect_uri, scope, nonce,
            code_challenge, code_challenge_method, session_id, auth_time, expires_at, used_at)
        SELECT l.id, l.client_id, l.user_id, coalesce(l.body ->> 'redirect_uri', ''), coalesce(l.body ->> 'scope', ''),
            l.body ->> 'nonce', nullif(l.body ->> 'code_challenge', ''),
            CASE WHEN l.body ->> 'code_challenge' <> '' THEN 'S256' END, nullif(l.sid, ''),
            public.token_service_body_time(l.body, 'auth_time'), l.expires_at,
            CASE WHEN (l.body ->> 'used')::bool THEN now() END
        FROM public.token_service_linked_items('code', ids) l
        ON CONFLICT (code) DO UPDATE SET used_at = coalesce(old.used_at, excluded.used_at),
            expires_at = excluded.expires_at
        RETURNING 1)
    SELECT count(*) FROM written
$$;

-- A row of oauth_refresh_tokens for each grant that has a refresh token, whichever that is by now: its id is made of
-- the grant's. A revocation that stands there stays. A grant without a refresh token needs no row.
CREATE OR REPLACE FUNCTION public.token_service_mirror_grants(ids text[]) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    WITH linked AS MATERIALIZED (
        SELECT left(l.id, 32)::uuid AS row_id, l.client_id, l.user_id, nullif(l.sid, '') AS sid, l.expires_at,
            nullif(l.body ->> 'token_hash', '') AS hash, nullif(l.body ->> 'previous_token_hash', '') AS previous,
            coalesce((l.body ->> 'rotation_count')::integer, 0) AS rotations,
            coalesce(l.body ->> 'scope', '') AS scope,
            public.token_service_body_list(l.body, 'resource') AS audience,
            public.token_service_body_time(l.body, 'issued_at') AS issued_at,
            public.token_service_body_time(l.body, 'revoked_at') AS revoked_at,
            nullif(l.body ->> 'revocation_reason', '') AS reason
        FROM public.token_service_linked_items('grant', ids) l
    ), changed AS (
        UPDATE public.oauth_refresh_tokens t SET token_hash = l.hash, previous_token_hash = l.previous,
            rotation_count = l.rotations, scope = l.scope, session_id = l.sid, expires_at = l.expires_at,
            last_used_at = CASE WHEN t.token_hash <> l.hash THEN now() ELSE t.last_used_at END,
            revoked_at = coalesce(t.revoked_at, l.revoked_at),
            revocation_reason = CASE WHEN t.revoked_at IS NULL THEN l.reason ELSE t.revocation_reason END
        FROM linked l WHERE t.id = l.row_id AND l.hash IS NOT NULL
        RETURNING t.id
    ), added AS (
        INSERT INTO public.oauth_refresh_tokens (id, token_hash, client_id, user_id, scope, previous_token_hash,
            rotation_count, audience, issued_at, expires_at, revoked_at, revocation_reason, session_id)
        SELECT l.row_id, l.hash, l.client_id, l.user_id, l.scope, l.previous, l.rotations, l.audience, l.issued_at,
            l.expires_at, l.revoked_at, l.reason, l.sid
        FROM linked l
        WHERE l.hash IS NOT NULL AND NOT EXISTS (SELECT FROM public.oauth_refresh_tokens t WHERE t.id = l.row_id)
        RETURNING id
    )
    SELECT (SELECT count(*) FROM changed) + (SELECT count(*) FROM added) +
        (SELECT count(*) FROM linked WHERE hash IS NULL)
$$;

-- Of a user and a client there is one consent, and at least one row of oauth_consent_records.
CREATE OR REPLACE FUNCTION public.token_service_mirror_consents(ids text[]) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    WITH linked AS MATERIALIZED (
        SELECT l.client_id, l.user_id,
            coalesce(public.token_service_body_list(l.body, 'granted_scopes'), '{}') AS scopes,
            public.token_service_body_time(l.body, 'expires_at') AS expires_at,
            public.token_service_body_time(l.body, 'revoked_at') AS revoked_at
        FROM public.token_service_linked_items('consent', ids) l
    ), changed AS (
        UPDATE public.oauth_consent_records t SET granted_scopes = l.scopes, consent_expires_at = l.expires_at,
            consent_revoked_at = l.revoked_at
        FROM linked l WHERE t.user_id = l.user_id AND t.client_id = l.client_id
        RETURNING 1
    ), added AS (
        INSERT INTO public.oauth_consent_records (user_id, client_id, granted_scopes, consent_expires_at,
            consent_revoked_at)
        SELECT l.user_id, l.client_id, l.scopes, l.expires_at, l.revoked_at FROM linked l
        WHERE NOT EXISTS (SELECT FROM public.oauth_consent_records t
                          WHERE t.user_id = l.user_id AND t.client_id = l.client_id)
        RETURNING 1
    )
    -- both are carried out, whether they are read or not
    SELECT count(*) FROM linked
$$;

-- Deleted items: the code is gone, the grant and the consent are revoked.
CREATE OR REPLACE FUNCTION public.token_service_unmirror(of_kind text, ids text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
BEGIN
    IF of_kind = 'code' THEN
        DELETE FROM public.oauth_authorization_codes WHERE code = ANY (ids);
    ELSIF of_kind = 'grant' THEN
        UPDATE public.oauth_refresh_tokens SET revoked_at = now()
        WHERE id = ANY (ARRAY(SELECT left(each, 32)::uuid FROM unnest(ids) AS each)) AND revoked_at IS NULL;
    ELSE
        UPDATE public.oauth_consent_records t SET consent_revoked_at = now()
        FROM public.token_service_items i
        WHERE i.kind = of_kind AND i.id = ANY (ids) AND t.client_id = i.client_id AND t.consent_revoked_at IS NULL
            AND t.user_id = CASE WHEN i.subject ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                            THEN i.subject::uuid END;
    END IF;
END $$;

-- Answers how many of those that are there are not in the platform's table: their user or client isn't. Nobody's lock
-- is waited for long, since a whole batch waits with it.
CREATE OR REPLACE FUNCTION public.token_service_mirror_kind(of_kind text, live text[], deleted text[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '500ms' AS $$
BEGIN
    IF cardinality(deleted) > 0 THEN
        PERFORM public.token_service_unmirror(of_kind, deleted);
    END IF;
    IF cardinality(live) = 0 THEN
        RETURN 0;
    END IF;
    RETURN cardinality(live) - CASE of_kind WHEN 'code' THEN public.token_service_mirror_codes(live)
        WHEN 'grant' THEN public.token_service_mirror_grants(live)
        WHEN 'consent' THEN public.token_service_mirror_consents(live) END;
END $$;

-- The same for each by itself: only those that the platform refuses are left out, and counted.
CREATE OR REPLACE FUNCTION public.token_service_mirror_each(of_kind text, live text[], deleted text[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    missing bigint := 0;
    left_over bigint := cardinality(live) + cardinality(deleted);
    each record;
BEGIN
    FOR each IN SELECT ARRAY[id] AS live, '{}'::text[] AS deleted FROM unnest(live) AS id
        UNION ALL SELECT '{}', ARRAY[id] FROM unnest(deleted) AS id LOOP
        BEGIN
            missing := missing + public.token_service_mirror_kind(of_kind, each.live, each.deleted);
        EXCEPTION WHEN lock_not_available THEN
            RETURN missing + left_over;
        WHEN OTHERS THEN
            missing := missing + 1;
        END;
        left_over := left_over - 1;
    END LOOP;
    RETURN missing;
END $$;

-- The items that were changed, in the platform's tables: all of a kind at once, or each by itself when that fails. No
-- failure here undoes anything else: the items are what counts, and the rows are for others to read.
CREATE OR REPLACE FUNCTION public.token_service_mirror_items(items jsonb, conflicts integer[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    missing bigint := 0;
    each record;
BEGIN
    FOR each IN
        SELECT i.kind, coalesce(array_agg(i.id) FILTER (WHERE i.body <> ''), '{}') AS live,
            coalesce(array_agg(i.id) FILTER (WHERE i.body = ''), '{}') AS deleted
        FROM public.token_service_items i
        JOIN (SELECT DISTINCT g.kind, g.id FROM jsonb_to_recordset(items) AS g (list integer, kind text, id text)
              WHERE g.kind IN ('code', 'grant', 'consent') AND g.list <> ALL (conflicts)) AS given
            ON given.kind = i.kind AND given.id = i.id
        GROUP BY i.kind ORDER BY i.kind
    LOOP
        BEGIN
            missing := missing + public.token_service_mirror_kind(each.kind, each.live, each.deleted);
        EXCEPTION WHEN lock_not_available THEN
            missing := missing + cardinality(each.live) + cardinality(each.deleted);
        WHEN OTHERS THEN
            missing := missing + public.token_service_mirror_each(each.kind, each.live, each.deleted);
        END;
    END LOOP;
    RETURN missing;
END $$;

-- --- changes ---------------------------------------------------------------------------------------------------------

-- New items are added and old ones locked, each in the order of their ids: so no two transactions wait for each other
-- in a circle. Of an id that comes more than once only the first change is made here. Answers the changes that added a
-- row.
CREATE OR REPLACE FUNCTION public.token_service_claim_items(items jsonb) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    made bigint[];
BEGIN
    WITH given AS MATERIALIZED (
        SELECT DISTINCT ON (kind COLLATE "C", id COLLATE "C") *
        FROM ROWS FROM (jsonb_to_recordset(items) AS (kind text, id text, was bigint, change bigint, expires bigint,
            client text, subject text, sid text, body text))
            WITH ORDINALITY AS i (kind, id, was, change, expires, client, subject, sid, body, place)
        ORDER BY kind COLLATE "C", id COLLATE "C", place
    ), added AS (
        INSERT INTO public.token_service_items (kind, id, version, changes, expires_at, client_id, subject, sid, body)
        SELECT kind, id, 1, ARRAY[change], to_timestamp(expires), client, subject, sid, body
        FROM given WHERE was = 0 AND body <> '' ORDER BY kind COLLATE "C", id COLLATE "C"
        ON CONFLICT DO NOTHING
        RETURNING changes[1] AS change
    )
    SELECT coalesce(array_agg(change), '{}') INTO made FROM added;
    PERFORM 1 FROM public.token_service_items t
    JOIN (SELECT DISTINCT i.kind, i.id FROM jsonb_to_recordset(items) AS i (kind text, id text)) AS given
        ON given.kind = t.kind AND given.id = t.id
    ORDER BY t.kind, t.id FOR NO KEY UPDATE OF t;
    RETURN made;
END $$;

-- The numbers of those lists in which an item is neither as it must be nor changed so already.
CREATE OR REPLACE FUNCTION public.token_service_unfit_lists(items jsonb) RETURNS integer[]
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
BEGIN
    RETURN ARRAY(
        SELECT DISTINCT i.list
        FROM jsonb_to_recordset(items) AS i (list integer, kind text, id text, was bigint, change bigint)
        LEFT JOIN public.token_service_items t ON t.kind = i.kind AND t.id = i.id
        WHERE NOT coalesce(i.change = ANY (t.changes), false)
            AND i.was <> CASE WHEN t.body <> '' THEN t.version ELSE 0 END);
END $$;

-- Changes the items but for those of lists that do not fit: of these, what was added ahead goes again.
CREATE OR REPLACE FUNCTION public.token_service_put_items(items jsonb, unfit integer[], made bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
BEGIN
    IF unfit <> '{}' AND made <> '{}' THEN
        DELETE FROM public.token_service_items t
        USING jsonb_to_recordset(items) AS i (list integer, kind text, id text, change bigint)
        WHERE t.kind = i.kind AND t.id = i.id AND t.changes = ARRAY[i.change] AND i.change = ANY (made)
            AND i.list = ANY (unfit);
    END IF;
    INSERT INTO public.token_service_items AS old (kind, id, version, changes, expires_at, client_id, subject, sid,
        body)
    SELECT i.kind, i.id, i.was + 1, ARRAY[i.change],
        CASE WHEN i.body = '' THEN least(to_timestamp(i.expires), now()) ELSE to_timestamp(i.expires) END,
        i.client, i.subject, i.sid, i.body
    FROM jsonb_to_recordset(items) AS i (list integer, kind text, id text, was bigint, change bigint, expires bigint,
        client text, subject text, sid text, body text)
    WHERE i.list <> ALL (unfit) AND NOT EXISTS (
        SELECT FROM public.token_service_items t WHERE t.kind = i.kind AND t.id = i.id AND i.change = ANY (t.changes))
    ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version,
        changes = (excluded.changes || old.changes)[1:4], expires_at = excluded.expires_at,
        client_id = excluded.client_id, subject = excluded.subject, sid = excluded.sid, body = excluded.body;
END $$;

-- A list that does not fit is left out whole. Answers the numbers of those. All lists are judged at once, or one after
-- the other when two want the same item, since what the first does to it decides about the second.
CREATE OR REPLACE FUNCTION public.token_service_change_items(items jsonb) RETURNS integer[]
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp AS $$
DECLARE
    made bigint[] := public.token_service_claim_items(items);
    conflicts integer[] := '{}';
    parts jsonb[] := ARRAY[items];
    part jsonb;
    unfit integer[];
BEGIN
    IF (SELECT count(*) > count(DISTINCT (i.kind, i.id)) FROM jsonb_to_recordset(items) AS i (kind text, id text)) THEN
        parts := ARRAY(SELECT jsonb_agg(item) FROM jsonb_array_elements(items) WITH ORDINALITY AS i (item, place)
                       GROUP BY item -> 'list' ORDER BY min(place));
    END IF;
    FOREACH part IN ARRAY parts LOOP
        unfit := public.token_service_unfit_lists(part);
        PERFORM public.token_service_put_items(part, unfit, made);
        conflicts := conflicts || unfit;
    END LOOP;
    RETURN conflicts;
END $$;

-- Those rows that do not belong to a list in conflict.
CREATE OR REPLACE FUNCTION public.token_service_without_lists(records jsonb, conflicts integer[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public, extensions, pg_temp AS $$
    SELECT CASE WHEN conflicts = '{}' THEN records ELSE (
        SELECT coalesce(jsonb_agg(one ORDER BY place), '[]')
        FROM jsonb_array_elements(records) WITH ORDINALITY AS r (one, place)
        WHERE coalesce((one ->> 'list')::integer <> ALL (conflicts), true)) END
$$;

-- token_service_record for a batch in which there are items: each says of which list it is, and so do the tokens and
-- revocations of such lists. Answers the numbers of the lists of which nothing was recorded, since an item was not as
-- it must be. The rows for the platform come last, after the lock of the positions: who holds that lock may wait for
-- such a row.
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
        'revocations', public.token_service_without_lists(args -> 'revocations', conflicts)));
    RETURN jsonb_build_object('conflicts', conflicts, 'unlinked', (told ->> 'unlinked')::bigint +
        public.token_service_mirror_items(args -> 'items', conflicts));
END $$;

-- --- the rest --------------------------------------------------------------------------------------------------------

-- By the database's clock, as token_service_purge does; and the platform's rows of the codes among them. That these
-- can't be deleted just now is no reason to keep the items.
CREATE OR REPLACE FUNCTION public.token_service_purge_items(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    expired timestamptz := public.token_service_earlier((args ->> 'now_s')::bigint) - interval '1 hour';
    room bigint := (args ->> 'max')::bigint;
    gone bigint;
    codes text[];
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true); -- what comes back after a crash is deleted again
    WITH deleted AS (
        DELETE FROM public.token_service_items WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM public.token_service_items WHERE expires_at < expired
            ORDER BY expires_at LIMIT room FOR UPDATE SKIP LOCKED))
        RETURNING kind, id)
    SELECT count(*), array_agg(id) FILTER (WHERE kind = 'code') INTO gone, codes FROM deleted;
    BEGIN
        DELETE FROM public.oauth_authorization_codes WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM public.oauth_authorization_codes WHERE code = ANY (codes) FOR UPDATE SKIP LOCKED));
    EXCEPTION WHEN OTHERS THEN
        NULL;
    END;
    RETURN jsonb_build_object('deleted', gone);
END $$;

-- As before, with the version of this file.
CREATE OR REPLACE FUNCTION public.token_service_check(args jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, public, extensions, pg_temp SET lock_timeout = '4s' AS $$
DECLARE
    known text;
BEGIN
    UPDATE public.token_service_state SET checks = checks + 1 WHERE id = 1 RETURNING identity INTO known;
    RETURN jsonb_build_object('version', 6, 'identity', known,
        'now_ms', floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint);
END $$;

-- Everything here is for the service's role alone.
DO $$
DECLARE
    each record;
BEGIN
    ALTER TABLE public.token_service_items ENABLE ROW LEVEL SECURITY;
    REVOKE ALL ON public.token_service_items FROM PUBLIC, anon, authenticated;
    GRANT SELECT, INSERT, UPDATE, DELETE ON public.token_service_items TO service_role;
    FOR each IN SELECT p.oid::regprocedure AS signature FROM pg_proc p
        JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'public' AND p.proname LIKE 'token\_service\_%' LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, anon, authenticated', each.signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO service_role', each.signature);
    END LOOP;
END $$;

-- PostgREST learns of the functions.
NOTIFY pgrst, 'reload schema';
