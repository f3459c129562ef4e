/* test_rotation.c: keys on their way through life, over the real store and the real signer: by themselves, on request,
 * in an emergency, by many instances at once, and with an end at every single point.
 *
 * The last is done like this: a child lives through a few rotations by a clock of the test's own, and stops before each
 * system call that makes something durable. This program defines those calls itself, so they are met wherever they come
 * from, SQLite included. While it stands still, the test goes on from a copy of all that lies in its folder, as if the
 * child had been ended there, and checks the invariants at every step of the life from then on: one active key, a
 * standby, a key set with every key that any live token needs, and no private key that nobody will ever use. */
#include "folder.h"
#include "keys/keyring.h"
#include "keys/rotation.h"
#include "observe/log.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Pending at least 162, retiring 312. */
static struct settings settings = { .signing_alg = JWA_ES256,
                                    .access_ttl_max_s = 300,
                                    .refresh_ttl_max_s = 200,
                                    .id_ttl_max_s = 100,
                                    .clock_skew_s = 10,
                                    .jwks_max_age_s = 100,
                                    .jwks_stale_if_error_s = 50,
                                    .key_rotation_s = 600,
                                    .key_pending_s = 200 };

/* --- durable system calls ---------------------------------------------------------------------------------------- */

static int at_point = -1, go_on = -1; /* pipes to and from the test; in the child alone */

static void maybe_the_end(void)
{
    char byte = 0;
    if (at_point >= 0 && (write(at_point, &byte, 1) != 1 || read(go_on, &byte, 1) != 1))
        _exit(1);
}

/* As libc declares them, in the place of libc's. The first two don't wait for the disk: a process that ends takes
 * nothing with it that the kernel has, so what follows finds the same bytes; only a machine that ends could tell. */
int fsync(int fd)
{
    maybe_the_end();
    return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

int fdatasync(int fd)
{
    return fsync(fd);
}

int renameat(int old_dir, const char *old, int new_dir, const char *new)
{
    maybe_the_end();
    return (int)syscall(SYS_renameat2, old_dir, old, new_dir, new, 0);
}

int unlinkat(int dir, const char *name, int flags)
{
    maybe_the_end();
    return (int)syscall(SYS_unlinkat, dir, name, flags);
}

ssize_t pwrite64(int fd, const void *from, size_t size, __off64_t at)
{
    maybe_the_end();
    return syscall(SYS_pwrite64, fd, from, size, at);
}

/* --- an instance ------------------------------------------------------------------------------------------------- */

struct instance {
    struct store *store;
    struct signer *signer;
    struct keyring *ring;
    struct rotation *rotation;
};

static struct err instance_open(struct instance *instance, int64_t now_s)
{
    *instance = (struct instance){ .store = NULL };
    settings.data_dir = folder;
    TRY(store_sqlite_open(&settings, &instance->store));
    TRY(signer_local_open(&settings, &instance->signer));
    instance->rotation = rotation_new(instance->store, instance->signer, &settings);
    TRY(keyring_open(instance->store, instance->signer, (enum jwa)settings.signing_alg, now_s, &arena,
                     &instance->ring));
    return rotation_allow_lifetime(instance->rotation);
}

static void instance_close(struct instance *instance)
{
    keyring_close(instance->ring);
    rotation_free(instance->rotation);
    if (instance->signer)
        instance->signer->ops->close(instance->signer);
    store_closep(&instance->store);
}

#define OPEN(name)                                                                                                     \
    AUTO(instance_close) struct instance name;                                                                         \
    assert_ok(instance_open(&name, 1000))

static bool round_at(struct instance *instance, int64_t now_s)
{
    bool changed = false;
    rotation_round(instance->rotation, now_s, &changed);
    assert_ok(keyring_reload(instance->ring));
    return changed;
}

static struct lifecycle life_of(struct instance *instance)
{
    struct key *keys = NULL;
    struct lifecycle life = { .settings = &settings };
    assert_ok(instance->store->ops->list_keys(instance->store, &arena, &keys, &life.count));
    life.keys = keys;
    return life;
}

static struct key key_of(struct instance *instance, struct str kid)
{
    struct key key;
    assert_ok(instance->store->ops->find_key(instance->store, &arena, kid, &key));
    return key;
}

static struct key active_of(struct instance *instance)
{
    const struct lifecycle life = life_of(instance);
    assert_non_null(lifecycle_active(&life));
    return *lifecycle_active(&life);
}

static struct key standby_of(struct instance *instance)
{
    const struct lifecycle life = life_of(instance);
    assert_non_null(lifecycle_standby(&life));
    return *lifecycle_standby(&life);
}

static bool has_file(struct str kid)
{
    return exists(arena_printf(&arena, "signing-key-%.*s.pem", (int)kid.len, kid.at).at);
}

static int64_t number(const char *query)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open_v2(in_folder("token-service.db"), &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, query, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", query, sqlite3_errmsg(db));
    int code = sqlite3_step(statement);
    int64_t result = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return result;
}

/* --- by itself --------------------------------------------------------------------------------------------------- */

static void a_standby_is_made_soon_and_once(void **state)
{
    OPEN(one);
    (void)state;
    assert_true(round_at(&one, 1001));
    const struct key standby = standby_of(&one);
    assert_int_equal(standby.published_at, 1001);
    assert_str(standby.alg, "ES256");
    assert_true(has_file(standby.kid));
    for (int64_t now = 1002; now < 1010; now++)
        assert_false(round_at(&one, now));
    assert_int_equal(number("SELECT count(*) FROM oauth_jwks"), 2);
    assert_int_equal(number("SELECT count(*) FROM events WHERE type = 'keys_rotated'"), 2);
}

static void a_key_lives_its_life(void **state)
{
    OPEN(one);
    (void)state;
    const struct key first = active_of(&one);
    assert_int_equal(first.lifetime_s, 300);
    round_at(&one, 1001);
    const struct key second = standby_of(&one);
    assert_false(round_at(&one, 1599));
    assert_true(round_at(&one, 1600)); /* of age: the standby signs, and there is another */
    assert_true(str_eq(active_of(&one).kid, second.kid));
    assert_int_equal(active_of(&one).activated_at, 1600);
    assert_true(str_eq(active_of(&one).rotated_from_kid, first.kid));
    assert_int_equal(standby_of(&one).published_at, 1600);
    const struct key retiring = key_of(&one, first.kid);
    assert_int_equal(retiring.state, KEY_RETIRING);
    assert_int_equal(retiring.retiring_at, 1600);
    assert_int_equal(retiring.retire_after, 1600 + 300 + 12);
    assert_true(has_file(first.kid));
    assert_false(round_at(&one, 1911));
    assert_true(round_at(&one, 1912));
    assert_int_equal(key_of(&one, first.kid).state, KEY_RETIRED);
    assert_int_equal(key_of(&one, first.kid).disposed_at, 0); /* recorded first, then done */
    assert_true(round_at(&one, 1913));
    assert_int_equal(key_of(&one, first.kid).disposed_at, 1913);
    assert_false(has_file(first.kid));
    assert_int_equal(number("SELECT count(*) FROM events WHERE json_extract(detail, '$.transition') = 'retired'"), 1);
}

/* The private half of a key that retires is gone from memory with the last request that held the old view. */
static void a_retiring_key_can_sign_no_more(void **state)
{
    OPEN(one);
    (void)state;
    char signature[JWK_SIGNATURE_MAX];
    size_t len;
    struct signer *signer = one.signer;
    const struct key first = active_of(&one);
    round_at(&one, 1001);
    assert_ok(signer->ops->sign(signer, first.kid, JWA_ES256, SIGN_BACKGROUND, STR("x"), signature, &len));
    const struct keyring_view *held = keyring_acquire(one.ring);
    round_at(&one, 1600);
    assert_ok(signer->ops->sign(signer, first.kid, JWA_ES256, SIGN_BACKGROUND, STR("x"), signature, &len));
    keyring_release(held);
    assert_ok(keyring_reload(one.ring));
    assert_code(signer->ops->sign(signer, first.kid, JWA_ES256, SIGN_BACKGROUND, STR("x"), signature, &len),
                ERR_UNAVAILABLE, "after the last reader");
}

/* Whatever a token's lifetime comes from, its key outlives it: also when it was allowed and is no more. */
static void a_key_outlives_the_longest_token_that_was_ever_allowed(void **state)
{
    const struct client client = {
        .id = STR("one"), .name = STR("one"), .scopes = STR(""), .refresh_ttl_s = 5000, .is_active = true
    };
    (void)state;
    settings.access_ttl_max_s = 400;
    struct instance once;
    assert_ok(instance_open(&once, 1000));
    settings.access_ttl_max_s = 300;
    assert_int_equal(active_of(&once).lifetime_s, 400);
    instance_close(&once);
    OPEN(one);
    assert_int_equal(active_of(&one).lifetime_s, 400);
    round_at(&one, 1001);
    struct str first = active_of(&one).kid;
    round_at(&one, 1600);
    assert_int_equal(key_of(&one, first).retire_after, 1600 + 400 + 12);
    assert_int_equal(active_of(&one).lifetime_s, 300);
    assert_ok(one.store->ops->add_client(one.store, &client));
    struct str second = active_of(&one).kid;
    assert_int_equal(active_of(&one).lifetime_s, 5000);
    round_at(&one, 2200);
    assert_int_equal(key_of(&one, second).retire_after, 2200 + 5000 + 12);
    assert_int_equal(active_of(&one).lifetime_s, 5000); /* of the client, from the beginning */
}

static void a_new_algorithm_takes_its_turn(void **state)
{
    OPEN(one);
    (void)state;
    round_at(&one, 1001);
    struct str old = standby_of(&one).kid;
    settings.signing_alg = JWA_EDDSA;
    round_at(&one, 1100);
    assert_int_equal(key_of(&one, old).state, KEY_REVOKED); /* it never signed, and never will */
    assert_str(standby_of(&one).alg, "EdDSA");
    round_at(&one, 1299);
    assert_str(active_of(&one).alg, "ES256");
    round_at(&one, 1300);
    assert_str(active_of(&one).alg, "EdDSA");
    settings.signing_alg = JWA_ES256;
}

/* --- what somebody left behind ----------------------------------------------------------------------------------- */

static void a_pair_without_a_row_becomes_the_standby(void **state)
{
    OPEN(one);
    struct key orphan = { 0 };
    (void)state;
    assert_ok(one.signer->ops->create(one.signer, &arena, JWA_ES256, &orphan));
    round_at(&one, 1001);
    assert_true(str_eq(standby_of(&one).kid, orphan.kid));
}

static void a_pair_of_another_algorithm_is_disposed_of(void **state)
{
    OPEN(one);
    struct key orphan = { 0 };
    (void)state;
    assert_ok(one.signer->ops->create(one.signer, &arena, JWA_EDDSA, &orphan));
    round_at(&one, 1001);
    round_at(&one, 1002);
    assert_str(standby_of(&one).alg, "ES256");
    assert_int_equal(key_of(&one, orphan.kid).state, KEY_REVOKED);
    assert_false(has_file(orphan.kid));
}

static void a_past_keys_file_that_comes_back_is_removed_again(void **state)
{
    struct rotated done;
    OPEN(one);
    (void)state;
    round_at(&one, 1001);
    struct str kid = standby_of(&one).kid;
    const char *name = arena_printf(&arena, "signing-key-%.*s.pem", (int)kid.len, kid.at).at;
    struct str text = read_text(name);
    assert_ok(rotation_revoke(one.rotation, &arena, kid, STR(""), 1002, &done));
    bool changed;
    rotation_dispose(one.rotation, 1002, &changed);
    assert_false(exists(name));
    write_text(name, text, 0600); /* from a backup */
    round_at(&one, 1003);
    assert_false(exists(name));
    assert_false(str_eq(standby_of(&one).kid, kid));
    assert_int_equal(key_of(&one, kid).state, KEY_REVOKED);
}

static void a_standby_that_cannot_sign_is_replaced_in_time(void **state)
{
    OPEN(one);
    (void)state;
    round_at(&one, 1001);
    struct str lost = standby_of(&one).kid;
    one.signer->ops->unload(one.signer, lost);
    assert_int_equal(unlink(in_folder(arena_printf(&arena, "signing-key-%.*s.pem", (int)lost.len, lost.at).at)), 0);
    struct str active = active_of(&one).kid;
    for (int64_t now = 1600; now < 2200; now += 100) {
        round_at(&one, now); /* it might come back: a KMS that can't be reached, say */
        assert_true(str_eq(active_of(&one).kid, active));
    }
    round_at(&one, 2231);
    round_at(&one, 2262);
    assert_int_equal(key_of(&one, lost).state, KEY_REVOKED);
    assert_false(str_eq(standby_of(&one).kid, lost));
    round_at(&one, 2500);
    assert_false(str_eq(active_of(&one).kid, active));
}

/* --- on request -------------------------------------------------------------------------------------------------- */

static void a_request_waits_until_verifiers_know_the_key_and_outlives_a_restart(void **state)
{
    struct rotated done;
    struct str first;
    (void)state;
    {
        OPEN(one);
        round_at(&one, 1001);
        first = active_of(&one).kid;
        assert_ok(rotation_rotate(one.rotation, &arena, false, 1100, &done));
        assert_int_equal(done.at_s, 1201);
        assert_int_equal(done.new_kid.len, 0);
        assert_true(strlen(done.message) > 20);
        assert_ok(rotation_rotate(one.rotation, &arena, false, 1150, &done)); /* asking again changes nothing */
        assert_int_equal(active_of(&one).rotate_requested_at, 1100);
    }
    OPEN(again);
    assert_false(round_at(&again, 1200));
    assert_true(round_at(&again, 1201));
    assert_false(str_eq(active_of(&again).kid, first));
    assert_int_equal(active_of(&again).rotate_requested_at, 0);
    assert_ok(rotation_rotate(again.rotation, &arena, false, 1500, &done)); /* known for long: at once */
    assert_int_equal(done.at_s, 0);
    assert_true(str_eq(done.new_kid, active_of(&again).kid));
}

static void at_once_is_at_once_and_says_what_that_means(void **state)
{
    struct rotated done;
    OPEN(one);
    (void)state;
    struct str first = active_of(&one).kid;
    assert_ok(rotation_rotate(one.rotation, &arena, true, 1000, &done)); /* before there was a standby */
    assert_true(str_eq(done.old_kid, first));
    assert_true(str_eq(done.new_kid, active_of(&one).kid));
    assert_non_null(strstr(done.message, "may refuse"));
    round_at(&one, 1001);
    assert_ok(rotation_rotate(one.rotation, &arena, true, 1300, &done));
    assert_null(strstr(done.message, "may refuse"));
}

static enum sign_priority last_priority;
static const struct signer_ops *below; /* what signs */

static struct err sign_and_note(struct signer *signer, struct str kid, enum jwa alg, enum sign_priority priority,
                                struct str input, char *out, size_t *len)
{
    last_priority = priority;
    return below->sign(signer, kid, alg, priority, input, out, len);
}

/* The quota of a signer may be used up by callers who want tokens. */
static void what_is_asked_for_goes_before_all_tokens(void **state)
{
    struct rotated done;
    OPEN(one);
    (void)state;
    struct signer_ops ops = *one.signer->ops;
    below = one.signer->ops;
    ops.sign = sign_and_note;
    one.signer->ops = &ops;
    round_at(&one, 1001);
    last_priority = SIGN_BACKGROUND;
    assert_ok(rotation_rotate(one.rotation, &arena, true, 1300, &done));
    assert_int_equal(last_priority, SIGN_TRIAL);
    round_at(&one, 1301);
    last_priority = SIGN_BACKGROUND;
    assert_ok(rotation_revoke(one.rotation, &arena, active_of(&one).kid, STR("stolen"), 1302, &done));
    assert_int_equal(last_priority, SIGN_TRIAL);
    assert_true(SIGN_TRIAL < SIGN_INTERACTIVE);
    one.signer->ops = below;
}

static void a_revoked_key_is_out_at_once_and_the_standby_signs(void **state)
{
    struct rotated done;
    OPEN(one);
    (void)state;
    round_at(&one, 1001);
    struct str first = active_of(&one).kid, second = standby_of(&one).kid;
    assert_code(rotation_revoke(one.rotation, &arena, STR("none"), STR(""), 1002, &done), ERR_NOT_FOUND, "unknown");
    assert_ok(rotation_revoke(one.rotation, &arena, first, STR("stolen"), 1002, &done));
    assert_true(str_eq(done.new_kid, second));
    assert_true(str_eq(done.old_kid, first));
    assert_ok(keyring_reload(one.ring));
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(one.ring);
    assert_null(keyring_find(view, first));
    assert_true(str_eq(view->active->kid, second));
    assert_str(key_of(&one, first).revocation_reason, "stolen");
    assert_int_equal(key_of(&one, first).revoked_at, 1002);
    round_at(&one, 1003);
    assert_false(has_file(first));
    assert_ok(rotation_revoke(one.rotation, &arena, first, STR("again"), 1004, &done));
    assert_str(key_of(&one, first).revocation_reason, "stolen");
    assert_int_equal(done.new_kid.len, 0);
}

static void every_state_can_be_revoked(void **state)
{
    struct rotated done;
    OPEN(one);
    (void)state;
    struct str first = active_of(&one).kid; /* with no standby at hand: one is made */
    assert_ok(rotation_revoke(one.rotation, &arena, first, STR(""), 1000, &done));
    assert_int_equal(done.new_kid.len, 43);
    round_at(&one, 1001);
    struct str second = active_of(&one).kid, third = standby_of(&one).kid;
    assert_ok(rotation_revoke(one.rotation, &arena, third, STR(""), 1002, &done));
    assert_int_equal(done.new_kid.len, 0);
    round_at(&one, 1003);
    assert_true(str_eq(active_of(&one).kid, second));
    round_at(&one, 1700);
    assert_int_equal(key_of(&one, second).state, KEY_RETIRING);
    assert_ok(rotation_revoke(one.rotation, &arena, second, STR(""), 1701, &done));
    assert_int_equal(key_of(&one, second).state, KEY_REVOKED);
    struct str fourth = active_of(&one).kid;
    round_at(&one, 2300);
    round_at(&one, 2700);
    assert_int_equal(key_of(&one, fourth).state, KEY_RETIRED);
    assert_ok(rotation_revoke(one.rotation, &arena, fourth, STR(""), 2701, &done));
    assert_int_equal(key_of(&one, fourth).state, KEY_REVOKED);
}

/* --- a signer without another key -------------------------------------------------------------------------------- */

static struct err no_more(struct signer *signer, struct arena *where, enum jwa alg, struct key *out)
{
    (void)signer;
    (void)where;
    (void)alg;
    (void)out;
    return failed(ERR_NOT_FOUND, "the list of keys is used up");
}

static void without_another_key_nothing_rotates_and_the_sentence_says_why(void **state)
{
    struct rotated done;
    OPEN(one);
    (void)state;
    struct signer_ops ops = *one.signer->ops;
    const struct signer_ops *real = one.signer->ops;
    ops.create = no_more;
    one.signer->ops = &ops;
    struct str first = active_of(&one).kid;
    round_at(&one, 1001);
    round_at(&one, 5000);
    assert_int_equal(number("SELECT count(*) FROM oauth_jwks"), 1);
    struct err errs[] = { rotation_rotate(one.rotation, &arena, false, 5001, &done),
                          rotation_rotate(one.rotation, &arena, true, 5001, &done),
                          rotation_revoke(one.rotation, &arena, first, STR(""), 5001, &done) };
    for (size_t i = 0; i < COUNT(errs); i++) {
        assert_code(errs[i], ERR_CONFLICT, "no key can follow");
        assert_non_null(strstr(errs[i].why, "the list of keys is used up"));
    }
    assert_true(str_eq(active_of(&one).kid, first));
    one.signer->ops = real;
    round_at(&one, 5100);
    assert_int_equal(number("SELECT count(*) FROM oauth_jwks"), 2);
}

/* A signer whose key does not sign what its public half says never becomes a standby. */
static struct err wrong_pair(struct signer *signer, struct str kid, enum jwa alg, enum sign_priority priority,
                             struct str input, char *out, size_t *len)
{
    (void)signer;
    (void)kid;
    (void)alg;
    (void)priority;
    (void)input;
    memset(out, 1, 64);
    *len = 64;
    return OK;
}

static void a_key_that_does_not_prove_itself_is_not_published(void **state)
{
    OPEN(one);
    (void)state;
    struct signer_ops ops = *one.signer->ops;
    const struct signer_ops *real = one.signer->ops;
    ops.sign = wrong_pair;
    one.signer->ops = &ops;
    round_at(&one, 1001);
    round_at(&one, 1002);
    assert_int_equal(number("SELECT count(*) FROM oauth_jwks"), 1);
    one.signer->ops = real;
    round_at(&one, 1040);
    assert_int_equal(number("SELECT count(*) FROM oauth_jwks"), 2);
}

/* --- many instances ---------------------------------------------------------------------------------------------- */

struct racer {
    pthread_t thread;
    struct store *store;
    struct signer *signer;
    struct rotation *rotation;
    int64_t now_s;
};

static void *race(void *arg)
{
    struct racer *racer = arg;
    bool changed = false;
    rotation_round(racer->rotation, racer->now_s, &changed);
    return NULL;
}

static void of_many_instances_one_performs_each_transition(void **state)
{
    enum { RACERS = 5 };
    struct racer racers[RACERS];
    static const int64_t times[] = { 1001, 1600, 1913, 2200, 2600 };
    OPEN(one);
    (void)state;
    for (size_t i = 0; i < RACERS; i++) {
        assert_ok(store_sqlite_open(&settings, &racers[i].store));
        assert_ok(signer_local_open(&settings, &racers[i].signer));
        racers[i].rotation = rotation_new(racers[i].store, racers[i].signer, &settings);
    }
    for (size_t t = 0; t < COUNT(times); t++) {
        for (size_t i = 0; i < RACERS; i++) {
            racers[i].now_s = times[t];
            assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        }
        for (size_t i = 0; i < RACERS; i++)
            pthread_join(racers[i].thread, NULL);
        assert_ok(keyring_reload(one.ring));
    }
    /* first, second and third key: active once each; the first two retired once each */
    assert_int_equal(number("SELECT count(*) FROM events WHERE json_extract(detail, '$.transition') = 'activated'"), 3);
    assert_int_equal(number("SELECT count(*) FROM events WHERE json_extract(detail, '$.transition') = 'retired'"), 2);
    assert_int_equal(number("SELECT count(*) FROM oauth_jwks WHERE state = 2"), 1);
    assert_int_equal(number("SELECT count(*) FROM oauth_jwks WHERE state = 1"), 1);
    for (size_t i = 0; i < RACERS; i++) {
        rotation_free(racers[i].rotation);
        racers[i].signer->ops->close(racers[i].signer);
        store_closep(&racers[i].store);
    }
}

/* --- an end at every point --------------------------------------------------------------------------------------- */

enum {
    LIFE_BEGINS = 1000,
    LIFE_ENDS = 4400,
    STEP_S = 100,
    ROTATE_AT = 2300,
    REVOKE_AT = 2900,
    REVOKE_OLD_AT = 3300,
    ASK_AT = 3500
};

/* What both lives know: it survives the first one's end. */
struct ledger {
    int64_t now_s;
    size_t tokens, seen;
    struct {
        char kid[44];
        int64_t expires_at;
    } token[128];
    struct {
        char kid[44];
        int64_t at_s;
    } key[64]; /* when a key set first had it */
};
static struct ledger *ledger;

static int64_t seen_at(struct str kid, int64_t now_s)
{
    for (size_t i = 0; i < ledger->seen; i++)
        if (str_eq(str_of(ledger->key[i].kid), kid))
            return ledger->key[i].at_s;
    assert_true(ledger->seen < COUNT(ledger->key));
    snprintf(ledger->key[ledger->seen].kid, sizeof ledger->key->kid, "%.*s", (int)kid.len, kid.at);
    ledger->key[ledger->seen].at_s = now_s;
    ledger->seen++;
    return now_s;
}

static void issue(struct instance *one, int64_t now_s)
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(one->ring);
    struct buf token;
    struct jws_parts parts;
    struct jws_header header;
    buf_init(&token, &arena, 512, 4096);
    assert_ok(keyring_sign(one->ring, view, SIGN_INTERACTIVE, STR("at+jwt"), STR("{}"), &token));
    assert_ok(jws_split(buf_str(&token), &parts));
    assert_ok(jws_read_header(&arena, parts.header, &header));
    assert_non_null(keyring_find(view, header.kid));
    assert_ok(jws_verify(keyring_find(view, header.kid)->jwk, &parts, &header));
    assert_true(ledger->tokens < COUNT(ledger->token));
    snprintf(ledger->token[ledger->tokens].kid, sizeof ledger->token->kid, "%.*s", (int)header.kid.len, header.kid.at);
    ledger->token[ledger->tokens++].expires_at = now_s + 300;
}

/* Every private key in the folder is one that will still sign, or did and is published. */
static void check_files(struct instance *one)
{
    const struct lifecycle life = life_of(one);
    DIR *dir = opendir(folder);
    size_t files = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (!strstr(entry->d_name, ".pem"))
            continue;
        bool known = false;
        for (size_t i = 0; i < life.count; i++)
            known = known ||
                    str_eq(arena_printf(&arena, "signing-key-%.*s.pem", (int)life.keys[i].kid.len, life.keys[i].kid.at),
                           str_of(entry->d_name));
        assert_row(known, entry->d_name);
        files++;
    }
    closedir(dir);
    assert_int_equal(files, life.count);
}

static void check_invariants(struct instance *one, int64_t now_s)
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(one->ring);
    const struct key active = active_of(one);
    (void)standby_of(one); /* asserts that there is one */
    const struct lifecycle life = life_of(one);
    size_t signing = 0;
    for (size_t i = 0; i < life.count; i++)
        signing += life.keys[i].state == KEY_ACTIVE;
    assert_int_equal(signing, 1);
    assert_true(str_eq(view->active->kid, active.kid));
    for (size_t i = 0; i < view->count; i++)
        (void)seen_at(view->keys[i].kid, now_s);
    bool is_first = active.rotated_from_kid.len == 0;
    bool was_forced = active.activated_at == ROTATE_AT || active.activated_at == REVOKE_AT;
    if (!is_first && !was_forced) /* the next key early enough */
        assert_true(active.activated_at - seen_at(active.kid, now_s) >= 162);
    for (size_t i = 0; i < ledger->tokens; i++) { /* and every key that a live token needs */
        struct str kid = str_of(ledger->token[i].kid);
        if (ledger->token[i].expires_at > now_s && !keyring_find(view, kid))
            assert_int_equal(key_of(one, kid).state, KEY_REVOKED);
    }
    check_files(one);
}

static void act(struct instance *one, int64_t now_s)
{
    struct rotated done;
    const struct lifecycle life = life_of(one);
    if (now_s == ROTATE_AT)
        assert_ok(rotation_rotate(one->rotation, &arena, true, now_s, &done));
    if (now_s == REVOKE_AT)
        assert_ok(rotation_revoke(one->rotation, &arena, active_of(one).kid, STR("stolen"), now_s, &done));
    if (now_s == ASK_AT)
        assert_ok(rotation_rotate(one->rotation, &arena, false, now_s, &done));
    for (size_t i = 0; now_s == REVOKE_OLD_AT && i < life.count; i++)
        if (life.keys[i].state == KEY_RETIRING)
            assert_ok(rotation_revoke(one->rotation, &arena, life.keys[i].kid, STR(""), now_s, &done));
    assert_ok(keyring_reload(one->ring));
}

/* From ledger->now_s on. */
static void live(void)
{
    struct instance one;
    assert_ok(instance_open(&one, ledger->now_s));
    for (; ledger->now_s <= LIFE_ENDS; ledger->now_s += STEP_S) {
        issue(&one, ledger->now_s); /* in the last second of a key that stops signing now */
        act(&one, ledger->now_s);
        round_at(&one, ledger->now_s);
        round_at(&one, ledger->now_s); /* disposes of what the first one retired */
        check_invariants(&one, ledger->now_s);
    }
    instance_close(&one);
}

static void copy_file(int from_dir, int to_dir, const char *name)
{
    struct stat about;
    int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC);
    assert_true(from >= 0 && fstat(from, &about) == 0 && S_ISREG(about.st_mode));
    int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, about.st_mode & 0777);
    assert_true(to >= 0);
    for (ssize_t left = about.st_size, some; left > 0; left -= some) {
        some = sendfile(to, from, NULL, (size_t)left);
        assert_true(some > 0);
    }
    close(from);
    close(to);
}

/* A new folder, with copies of all files of that one. */
static void folder_copy(const char *from)
{
    DIR *dir = opendir(from);
    folder_make();
    int to = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir && to >= 0);
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            copy_file(dirfd(dir), to, entry->d_name);
    closedir(dir);
    close(to);
}

/* The life of a child that was ended where it stands now, from there on. */
static void live_on(struct ledger *of_child)
{
    struct ledger copy = *of_child;
    char from[sizeof folder];
    memcpy(from, folder, sizeof folder);
    ledger = &copy;
    folder_copy(from);
    live();
    folder_remove();
    ledger = of_child;
    memcpy(folder, from, sizeof folder);
    arena_release(&arena);
    arena_init(&arena, NULL, 0);
}

static pid_t begin_life(int *points, int *turns)
{
    int to_test[2], to_child[2];
    assert_true(pipe2(to_test, O_CLOEXEC) == 0 && pipe2(to_child, O_CLOEXEC) == 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        at_point = to_test[1];
        go_on = to_child[0];
        close(to_child[1]); /* or it would wait for a test that has failed */
        live();
        _exit(0);
    }
    close(to_test[1]);
    close(to_child[0]);
    *points = to_test[0];
    *turns = to_child[1];
    return child;
}

static void whatever_the_point_of_its_end_a_life_goes_on(void **state)
{
    long ends = 0;
    int points, turns, status = -1;
    char byte;
    (void)state;
    ledger = mmap(NULL, sizeof *ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(ledger != MAP_FAILED);
    ledger->now_s = LIFE_BEGINS;
    pid_t child = begin_life(&points, &turns);
    for (; read(points, &byte, 1) == 1; ends++) {
        live_on(ledger);
        assert_int_equal(write(turns, &byte, 1), 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(points);
    close(turns);
    print_message("an end at each of %ld points\n", ends);
    assert_true(ends > 100);
    munmap(ledger, sizeof *ledger);
}

static int begin(void **state)
{
    log_configure(LOG_ERROR, LOG_JSON);
    return folder_begin(state);
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, begin, folder_finish)
RUN(IN_FOLDER(a_standby_is_made_soon_and_once), IN_FOLDER(a_key_lives_its_life),
    IN_FOLDER(a_retiring_key_can_sign_no_more), IN_FOLDER(a_key_outlives_the_longest_token_that_was_ever_allowed),
    IN_FOLDER(a_new_algorithm_takes_its_turn), IN_FOLDER(a_pair_without_a_row_becomes_the_standby),
    IN_FOLDER(a_pair_of_another_algorithm_is_disposed_of), IN_FOLDER(a_past_keys_file_that_comes_back_is_removed_again),
    IN_FOLDER(a_standby_that_cannot_sign_is_replaced_in_time),
    IN_FOLDER(a_request_waits_until_verifiers_know_the_key_and_outlives_a_restart),
    IN_FOLDER(at_once_is_at_once_and_says_what_that_means), IN_FOLDER(what_is_asked_for_goes_before_all_tokens),
    IN_FOLDER(a_revoked_key_is_out_at_once_and_the_standby_signs), IN_FOLDER(every_state_can_be_revoked),
    IN_FOLDER(without_another_key_nothing_rotates_and_the_sentence_says_why),
    IN_FOLDER(a_key_that_does_not_prove_itself_is_not_published),
    IN_FOLDER(of_many_instances_one_performs_each_transition), IN_FOLDER(whatever_the_point_of_its_end_a_life_goes_on))
