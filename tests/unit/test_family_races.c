/* test_family_races.c: everything that can happen to one refresh family when two use its tokens, in every order: each
 * reads the row, decides, stores by compare-and-swap (and starts again after a conflict), and receives the answer; each
 * may end after any of these steps and come back with the token that it had; time passes at any point, and the two
 * decide by clocks that differ from the store's. The functions are the real ones, and each row goes through its JSON.
 *
 * States that differ only in random bytes are one state, so that all of them are visited once. What must hold in each
 * is in the functions `judge_…`; docs/refresh-tokens.md says the same in words. */
#include "jose/jws.h"
#include "oauth/family.h"
#include "unit.h"

enum { CALLERS = 2, USES = 2, ENDS = 1, WAITS = 3, TOKENS = CALLERS * USES + 2 };
enum { BEGIN = 1000, SKEW = 2, IDLE = 60, LIFE = 100 };

enum stage { RESTS, HAS_READ, HAS_DECIDED, HAS_STORED, IS_OUT };
static const int waits[] = { 1, 9, 17, 61 };

struct caller {
    enum stage stage;
    int token; /* the generation that it holds */
    int uses, ends;
    int64_t version; /* of the row that it has read */
    int64_t seen_refreshed_at, decided_at;
    struct family seen, changed;
    enum family_verdict verdict;
    struct refresh_token answer;
};

/* What was done: a caller's step or end, or a wait, and which. */
struct event {
    unsigned char what, which;
};
enum { ENDS_HERE = IS_OUT + 1, WAITS_HERE = IS_OUT + 2, STORY_MAX = 64 };

struct world {
    int64_t now, version;
    struct family row;
    struct caller callers[CALLERS];
    int waited;
    /* What has happened in truth. */
    struct refresh_token tokens[TOKENS]; /* each that was in force, by its generation */
    int64_t used_at[TOKENS];             /* when it was replaced; 0: it was not */
    int64_t refreshed_at;                /* when the idle end was moved */
    struct event story[STORY_MAX];       /* how it came to this, for a failure */
    size_t events;
};

/* What a run is about: the same for all its worlds. */
static struct {
    struct family_terms terms;
    int64_t offset[CALLERS]; /* of each caller's clock */
    size_t states;
    size_t verdicts[FAMILY_REUSED + 1], conflicts, saved; /* saved: an answer that was lost, and brought again */
} run;

/* --- which states were visited ------------------------------------------------------------------------------------ */

enum { VISITED_MAX = 1 << 23 };
static uint64_t *visited;

static bool is_new(const void *key, size_t size)
{
    unsigned char hash[32];
    uint64_t mark;
    sha256((struct str){ key, size }, hash);
    memcpy(&mark, hash, sizeof mark);
    mark += mark == 0;
    for (size_t at = mark % VISITED_MAX;; at = (at + 1) % VISITED_MAX) {
        if (visited[at] == mark)
            return false;
        if (visited[at] == 0) {
            visited[at] = mark;
            run.states++;
            assert_true(run.states < VISITED_MAX / 2);
            return true;
        }
    }
}

/* A row without its random bytes. */
struct row_key {
    int64_t idle_end, revoked_at;
    int64_t used_at[TOKENS];
    int count, entries;
    int follows[TOKENS];
};

static int generation_of(const struct world *world, const unsigned char hash[32])
{
    for (int i = 0; i < TOKENS; i++)
        if (memcmp(world->tokens[i].hash, hash, 32) == 0)
            return i;
    return -1;
}

static void add_row(struct row_key *key, const struct world *world, const struct family *row)
{
    key->idle_end = row->idle_expires_at;
    key->revoked_at = row->revoked_at;
    key->count = (int)row->rotation_count;
    key->entries = (int)row->successor_count;
    for (size_t i = 0; i < row->successor_count; i++) {
        key->follows[i] = generation_of(world, row->successors[i].follows);
        key->used_at[i] = row->successors[i].used_at;
    }
}

static bool is_new_world(const struct world *world)
{
    struct {
        int64_t now, refreshed_at, used_at[TOKENS];
        struct row_key row, seen[CALLERS], changed[CALLERS];
        int64_t seen_refreshed_at[CALLERS], decided_at[CALLERS];
        int stage[CALLERS], token[CALLERS], uses[CALLERS], ends[CALLERS], verdict[CALLERS], is_behind[CALLERS];
        int waited;
    } key;
    memset(&key, 0, sizeof key);
    key.now = world->now;
    key.refreshed_at = world->refreshed_at;
    key.waited = world->waited;
    memcpy(key.used_at, world->used_at, sizeof key.used_at);
    add_row(&key.row, world, &world->row);
    for (int i = 0; i < CALLERS; i++) {
        const struct caller *caller = &world->callers[i];
        key.stage[i] = (int)caller->stage;
        key.token[i] = caller->token;
        key.uses[i] = caller->uses;
        key.ends[i] = caller->ends;
        if (caller->stage == RESTS || caller->stage == IS_OUT)
            continue;
        add_row(&key.seen[i], world, &caller->seen);
        key.is_behind[i] = caller->version != world->version;
        key.seen_refreshed_at[i] = caller->seen_refreshed_at;
        if (caller->stage == HAS_READ)
            continue;
        key.verdict[i] = (int)caller->verdict;
        key.decided_at[i] = caller->decided_at;
        add_row(&key.changed[i], world, &caller->changed);
    }
    return is_new(&key, sizeof key);
}

/* --- what must hold ----------------------------------------------------------------------------------------------- */

static void print_story(const struct world *world)
{
    static const char *const names[] = {
        [RESTS] = "read by",        [HAS_READ] = "decision of", [HAS_DECIDED] = "store by",
        [HAS_STORED] = "answer to", [ENDS_HERE] = "end of",     [WAITS_HERE] = "wait of"
    };
    for (size_t i = 0; i < world->events; i++)
        print_error("%s %d; ", names[world->story[i].what], world->story[i].which);
}

#define HOLDS(truth)                                                                                                   \
    do {                                                                                                               \
        if (!(truth)) {                                                                                                \
            print_story(world);                                                                                        \
            print_error("\ndoes not hold: %s\n", #truth);                                                              \
            _fail(__FILE__, __LINE__);                                                                                 \
        }                                                                                                              \
    } while (0)

static bool gives_a_token(enum family_verdict verdict)
{
    return verdict == FAMILY_ROTATE || verdict == FAMILY_KEEP || verdict == FAMILY_AGAIN;
}

/* The verdict by the truth: with a grace period, the clocks may only lengthen it, and by no more than they differ. */
static void judge_verdict(const struct world *world, const struct caller *caller)
{
    const int64_t used = world->used_at[caller->token], since = world->now - used;
    const int64_t grace = run.terms.grace_s > 0 ? run.terms.grace_s - SKEW : 0; /* what the client was told */
    const int64_t late = run.terms.grace_s > 0 ? grace + 3 * SKEW : 0;
    const bool is_live = caller->seen.rotation_count == caller->token;
    const bool may_have_ended = world->now >= BEGIN + LIFE - SKEW ||
                                world->now >= caller->seen_refreshed_at + IDLE - 2 * SKEW;
    HOLDS(caller->verdict != FAMILY_UNKNOWN);
    HOLDS((caller->verdict == FAMILY_REVOKED) == (caller->seen.revoked_at > 0));
    HOLDS(!gives_a_token(caller->verdict) || world->now < BEGIN + LIFE + SKEW); /* the absolute end */
    HOLDS(caller->verdict != FAMILY_ENDED || may_have_ended);
    HOLDS(caller->verdict != FAMILY_REUSED || (!is_live && used > 0));
    HOLDS(caller->verdict != FAMILY_REUSED || run.terms.grace_s == 0 || since > grace); /* nobody is refused inside */
    HOLDS(caller->verdict != FAMILY_AGAIN || (!is_live && since <= late));
    HOLDS((caller->verdict != FAMILY_ROTATE && caller->verdict != FAMILY_KEEP) || is_live);
    if (!is_live && since > late && caller->seen.revoked_at == 0 && caller->verdict != FAMILY_ENDED)
        HOLDS(caller->verdict == FAMILY_REUSED); /* and everybody after it */
}

/* One family, one live token, and it is the last of one chain. */
static void judge_row(const struct world *world)
{
    const int64_t count = world->row.rotation_count;
    HOLDS(count < TOKENS && memcmp(world->row.token_hash, world->tokens[count].hash, 32) == 0);
    HOLDS(count == 0 || memcmp(world->row.previous_token_hash, world->tokens[count - 1].hash, 32) == 0);
    HOLDS(world->row.expires_at == BEGIN + LIFE && world->row.idle_expires_at <= BEGIN + LIFE);
}

/* The successor of a token is one and the same, for whoever shows it. */
static void judge_answer(const struct world *world, const struct caller *caller)
{
    const int expected = caller->verdict == FAMILY_KEEP ? caller->token : caller->token + 1;
    HOLDS(expected <= world->row.rotation_count);
    HOLDS(memcmp(caller->answer.text, world->tokens[expected].text, REFRESH_TOKEN_LEN) == 0);
}

/* --- the steps of a caller ---------------------------------------------------------------------------------------- */

static void read_row(struct world *world, int who)
{
    struct caller *caller = &world->callers[who];
    caller->seen = world->row;
    caller->version = world->version;
    caller->seen_refreshed_at = world->refreshed_at;
    caller->stage = HAS_READ;
}

static void decide(struct world *world, int who)
{
    struct caller *caller = &world->callers[who];
    const struct refresh_token *token = &world->tokens[caller->token];
    const int64_t clock = world->now + run.offset[who];
    caller->changed = caller->seen;
    caller->decided_at = world->now;
    caller->verdict = family_decide(&caller->changed, token, &run.terms, clock);
    if (caller->verdict == FAMILY_REUSED) /* the store's clock has the last word */
        caller->verdict = family_decide(&caller->changed, token, &run.terms, world->now);
    run.verdicts[caller->verdict]++;
    judge_verdict(world, caller);
    caller->stage = HAS_STORED; /* unless there is something to be stored */
    switch (caller->verdict) {
    case FAMILY_ROTATE:
        assert_ok(family_rotate(&caller->changed, token, &run.terms, clock, &caller->answer));
        caller->stage = HAS_DECIDED;
        return;
    case FAMILY_KEEP:
        caller->answer = *token;
        if (family_keep(&caller->changed, &run.terms, clock))
            caller->stage = HAS_DECIDED;
        return;
    case FAMILY_AGAIN:
        assert_ok(family_open(&caller->seen, token, &caller->answer));
        run.saved++;
        return;
    case FAMILY_REUSED:
        family_revoke(&caller->changed, STR("reuse"), clock);
        caller->stage = HAS_DECIDED;
        return;
    default:
        return;
    }
}

/* As a store does: only if the row is as it was read; and as it comes back from there. */
static void store_row(struct world *world, int who)
{
    struct caller *caller = &world->callers[who];
    struct arena scratch = { 0 };
    struct family_row row = { world->row.grant_id, STR("client"), world->row.expires_at, { 0, 0 } };
    struct family read;
    if (caller->version != world->version) {
        run.conflicts++;
        caller->stage = RESTS; /* again, with the row as it is now */
        return;
    }
    HOLDS(world->row.revoked_at == 0); /* what is revoked never changes again */
    assert_ok(family_write(&caller->changed, &scratch, &row.body));
    assert_ok(family_read(&scratch, &row, &read));
    read.client_id = STR("client");
    read.granted.scope = read.granted.sub = read.revocation_reason = (struct str){ 0, 0 }; /* views that end here */
    read.others = NULL;
    arena_release(&scratch);
    world->row = read;
    world->version++;
    if (caller->verdict == FAMILY_ROTATE) {
        HOLDS(world->used_at[caller->token] == 0 && world->row.rotation_count == caller->token + 1); /* no branch */
        world->used_at[caller->token] = caller->decided_at;
        world->tokens[caller->token + 1] = caller->answer;
    }
    if (caller->verdict == FAMILY_REUSED)
        HOLDS(world->row.revoked_at > 0);
    else
        world->refreshed_at = caller->decided_at;
    judge_row(world);
    caller->stage = HAS_STORED;
}

static void receive(struct world *world, int who)
{
    struct caller *caller = &world->callers[who];
    caller->uses++;
    if (!gives_a_token(caller->verdict)) {
        caller->stage = IS_OUT;
        return;
    }
    judge_answer(world, caller);
    caller->token += caller->verdict != FAMILY_KEEP;
    caller->stage = RESTS;
}

static void (*const steps[])(struct world *, int) = {
    [RESTS] = read_row, [HAS_READ] = decide, [HAS_DECIDED] = store_row, [HAS_STORED] = receive
};

/* --- every order -------------------------------------------------------------------------------------------------- */

/* The worlds that are still to be looked at, the last one first. */
enum { WORLDS_MAX = 1024 };
static struct world *worlds;
static size_t worlds_left;

/* A copy of the world, in which something has happened that is now to be done to it. */
static struct world *split_off(const struct world *world, int what, int which)
{
    assert_true(worlds_left < WORLDS_MAX && world->events < STORY_MAX);
    struct world *next = &worlds[worlds_left++];
    *next = *world;
    next->story[next->events++] = (struct event){ (unsigned char)what, (unsigned char)which };
    return next;
}

/* The next step of a caller; or its end, after which it comes back with the token that it had. */
static void go_on_with_caller(const struct world *world, int who)
{
    const struct caller *caller = &world->callers[who];
    if (caller->stage == IS_OUT || (caller->stage == RESTS && caller->uses == USES))
        return;
    steps[caller->stage](split_off(world, (int)caller->stage, who), who);
    if (caller->stage == RESTS || caller->ends == ENDS)
        return;
    struct world *next = split_off(world, ENDS_HERE, who);
    next->callers[who].stage = RESTS;
    next->callers[who].ends++;
}

static void go_on_with_time(const struct world *world)
{
    for (size_t i = 0; i < COUNT(waits) && world->waited < WAITS; i++) {
        struct world *next = split_off(world, WAITS_HERE, waits[i]);
        next->now += waits[i];
        next->waited++;
    }
}

static void explore(void)
{
    struct world world;
    while (worlds_left > 0) {
        world = worlds[--worlds_left];
        if (!is_new_world(&world))
            continue;
        for (int who = 0; who < CALLERS; who++)
            go_on_with_caller(&world, who);
        go_on_with_time(&world);
    }
}

/* Both hold the first token: two processes of one client, or its holder and a thief; the service can't tell. */
static void begin(struct family_terms terms, int64_t offset_of_first, int64_t offset_of_second)
{
    struct world *world = &worlds[0];
    memset(&run, 0, sizeof run);
    memset(visited, 0, VISITED_MAX * sizeof *visited);
    memset(world, 0, sizeof *world);
    run.terms = terms;
    run.offset[0] = offset_of_first;
    run.offset[1] = offset_of_second;
    world->now = world->refreshed_at = BEGIN;
    world->row = (struct family){ .expires_at = BEGIN + LIFE, .granted.auth_time = -1 };
    assert_ok(family_begin(&world->row, &terms, BEGIN, &world->tokens[0]));
    judge_row(world);
    worlds_left = 1;
    explore();
}

/* --- the runs ----------------------------------------------------------------------------------------------------- */

enum { TOLD_GRACE = 10 };

static struct family_terms terms_of(bool rotates, int64_t grace_s)
{
    return (struct family_terms){ STR("client"), rotates, grace_s, IDLE };
}

static void with_a_grace_period_nobody_is_refused_inside_it_and_everybody_after_it(void **state)
{
    static const int64_t offsets[][CALLERS] = { { 0, 0 }, { SKEW, -SKEW } };
    (void)state;
    for (size_t i = 0; i < COUNT(offsets); i++) {
        begin(terms_of(true, TOLD_GRACE + SKEW), offsets[i][0], offsets[i][1]);
        assert_true(run.verdicts[FAMILY_ROTATE] > 0 && run.verdicts[FAMILY_AGAIN] > 0 && run.conflicts > 0);
        assert_true(run.verdicts[FAMILY_REUSED] > 0 && run.verdicts[FAMILY_REVOKED] > 0 && run.saved > 0);
        assert_true(run.verdicts[FAMILY_ENDED] > 0 && run.verdicts[FAMILY_KEEP] == 0);
        print_message("%zu states, %zu conflicts\n", run.states, run.conflicts);
    }
}

static void without_a_grace_period_a_second_use_revokes(void **state)
{
    (void)state;
    begin(terms_of(true, 0), SKEW, -SKEW);
    assert_true(run.verdicts[FAMILY_ROTATE] > 0 && run.verdicts[FAMILY_REUSED] > 0 && run.conflicts > 0);
    assert_int_equal(run.verdicts[FAMILY_AGAIN], 0);
}

static void a_token_that_stays_is_never_refused_before_its_end(void **state)
{
    (void)state;
    begin(terms_of(false, TOLD_GRACE + SKEW), SKEW, -SKEW);
    assert_true(run.verdicts[FAMILY_KEEP] > 0 && run.verdicts[FAMILY_ENDED] > 0 && run.conflicts > 0);
    assert_int_equal(run.verdicts[FAMILY_ROTATE] + run.verdicts[FAMILY_REUSED] + run.verdicts[FAMILY_REVOKED], 0);
}

static int make_room(void **state)
{
    (void)state;
    visited = calloc(VISITED_MAX, sizeof *visited);
    worlds = calloc(WORLDS_MAX, sizeof *worlds);
    return visited && worlds ? 0 : -1;
}

static int free_room(void **state)
{
    (void)state;
    free(visited);
    free(worlds);
    return 0;
}

RUN_WITH(make_room, free_room, TEST(with_a_grace_period_nobody_is_refused_inside_it_and_everybody_after_it),
         TEST(without_a_grace_period_a_second_use_revokes), TEST(a_token_that_stays_is_never_refused_before_its_end))
