/* test_signer_local.c: key files: whose they may be, what they must hold, and that what is signed verifies with what is
 * published. */
#include "keys/signer.h"
#include "folder.h"
#include "observe/log.h"
#include <dirent.h>
#include <signal.h>

static struct signer *open_signer(void)
{
    const struct settings settings = { .data_dir = folder };
    struct signer *signer = NULL;
    assert_ok(signer_local_open(&settings, &signer));
    assert_string_equal(signer->ops->name, "local");
    return signer;
}

static void signer_closep(struct signer **signer)
{
    if (*signer)
        (*signer)->ops->close(*signer);
}
#define OPEN(handle) AUTO(signer_closep) struct signer *handle = open_signer()

/* A key of a signer that has been closed since. */
static void make_before(enum jwa alg, struct key *key)
{
    OPEN(first);
    assert_ok(first->ops->create(first, &arena, alg, key));
}

static const char *file_of(const struct key *key)
{
    assert_true(str_has_prefix(key->private_ref, STR("file:")));
    return arena_copy(&arena, (struct str){ key->private_ref.at + 5, key->private_ref.len - 5 }).at;
}

static bool signs(struct signer *signer, const struct key *key, enum jwa alg)
{
    AUTO(jwk_freep) struct jwk *public = NULL;
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    if (signer->ops->sign(signer, key->kid, alg, SIGN_INTERACTIVE, STR("a.b"), signature, &len).code)
        return false;
    assert_ok(jwk_parse_public(&arena, key->public_jwk, &public));
    assert_str(key->kid, public->kid);
    assert_true(jws_check(public, STR("a.b"), (struct str){ signature, len }));
    assert_false(jws_check(public, STR("a.c"), (struct str){ signature, len }));
    return true;
}

static void a_made_key_signs_and_its_file_is_its_owners_alone(void **state)
{
    static const enum jwa algs[] = { JWA_RS256, JWA_PS256, JWA_ES256, JWA_EDDSA };
    mode_t before = umask(0);
    OPEN(signer);
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++) {
        struct key key = { 0 };
        assert_ok(signer->ops->create(signer, &arena, algs[i], &key));
        assert_str(key.alg, jwa_name(algs[i]));
        assert_true(signs(signer, &key, algs[i]));
        assert_int_equal(mode_of(in_folder(file_of(&key))), 0600);
        assert_str(key.private_ref, arena_printf(&arena, "file:signing-key-%.*s.pem", (int)key.kid.len, key.kid.at).at);
        assert_true(str_has_prefix(read_text(file_of(&key)), STR("-----BEGIN PRIVATE KEY-----")));
        assert_false(str_has(key.public_jwk, '-') && strstr(key.public_jwk.at, "PRIVATE") != NULL);
    }
    umask(before);
    assert_ok(signer->ops->check(signer));
    struct dirent **names = NULL;
    int count = scandir(folder, &names, NULL, NULL);
    assert_int_equal(count, 2 + (int)COUNT(algs)); /* no temporary file is left */
    while (count > 0)
        free(names[--count]);
    free(names);
}

static void a_key_is_loaded_again_after_a_restart(void **state)
{
    struct key key = { 0 };
    (void)state;
    make_before(JWA_RS256, &key);
    OPEN(signer);
    assert_false(signs(signer, &key, JWA_RS256)); /* not before it is loaded */
    assert_int_equal(signer->ops->check(signer).code, ERR_UNAVAILABLE);
    assert_ok(signer->ops->load(signer, &arena, &key));
    assert_ok(signer->ops->load(signer, &arena, &key)); /* a second time is no error */
    assert_true(signs(signer, &key, JWA_RS256));
    assert_ok(signer->ops->check(signer));
    signer->ops->unload(signer, key.kid);
    assert_false(signs(signer, &key, JWA_RS256));
    signer->ops->unload(signer, key.kid);
    assert_true(exists(file_of(&key))); /* the file stays */
    assert_ok(signer->ops->load(signer, &arena, &key));
    assert_true(signs(signer, &key, JWA_RS256));
}

static void a_key_signs_with_its_own_algorithm_alone(void **state)
{
    OPEN(signer);
    struct key key = { 0 }, other = { 0 };
    (void)state;
    assert_ok(signer->ops->create(signer, &arena, JWA_RS256, &key));
    assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &other));
    assert_false(signs(signer, &key, JWA_PS256));
    assert_false(signs(signer, &key, JWA_ES256));
    assert_true(signs(signer, &other, JWA_ES256));
    key.kid = STR("unknown");
    assert_false(signs(signer, &key, JWA_RS256));
    key.kid = STR("");
    assert_false(signs(signer, &key, JWA_RS256));
}

static void a_file_that_others_can_reach_is_refused_by_name(void **state)
{
    static const unsigned modes[] = { 0640, 0604, 0660, 0666, 0644, 0610, 0601, 0620, 0602, 0777, 0440, 0404 };
    struct key key = { 0 };
    (void)state;
    make_before(JWA_EDDSA, &key);
    for (size_t i = 0; i < COUNT(modes); i++) {
        OPEN(signer);
        assert_int_equal(chmod(in_folder(file_of(&key)), (mode_t)modes[i]), 0);
        struct err err = signer->ops->load(signer, &arena, &key);
        assert_row(err.code != ERR_OK, arena_printf(&arena, "mode %o", modes[i]).at);
        assert_row(strstr(err.why, file_of(&key)) != NULL, err.why);
        assert_false(signs(signer, &key, JWA_EDDSA));
        struct key adopted;
        assert_int_equal(signer->ops->adopt(signer, &arena, JWA_EDDSA, NULL, 0, &adopted).code, ERR_NOT_FOUND);
    }
    OPEN(signer);
    assert_int_equal(chmod(in_folder(file_of(&key)), 0400), 0);
    assert_ok(signer->ops->load(signer, &arena, &key));
}

static void a_file_of_another_user_is_refused(void **state)
{
    struct key key = { 0 };
    (void)state;
    if (geteuid() != 0) /* only root can give a file away */
        skip();
    make_before(JWA_EDDSA, &key);
    OPEN(signer);
    assert_int_equal(chown(in_folder(file_of(&key)), 12345, 0), 0);
    assert_true(signer->ops->load(signer, &arena, &key).code != ERR_OK);
    assert_int_equal(chown(in_folder(file_of(&key)), 0, 0), 0);
    assert_ok(signer->ops->load(signer, &arena, &key));
}

static void a_link_a_folder_or_nothing_in_the_place_of_a_file_is_refused(void **state)
{
    struct key key = { 0 };
    (void)state;
    make_before(JWA_EDDSA, &key);
    OPEN(signer);
    const char *file = in_folder(file_of(&key));
    assert_int_equal(rename(file, in_folder("moved")), 0);
    assert_true(signer->ops->load(signer, &arena, &key).code != ERR_OK); /* nothing there */
    assert_int_equal(symlink("moved", file), 0);
    assert_true(signer->ops->load(signer, &arena, &key).code != ERR_OK);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_true(signer->ops->load(signer, &arena, &key).code != ERR_OK);
    assert_int_equal(rmdir(file), 0);
    struct str elsewhere = key.private_ref;
    static const char *const refs[] = {
        "file:moved/../moved", "file:../x", "file:/etc/passwd", "file:", "file:.", "file:..", "moved", "kms:moved",
        "FILE:moved",          ""
    };
    for (size_t i = 0; i < COUNT(refs); i++) {
        key.private_ref = str_of(refs[i]);
        assert_row(signer->ops->load(signer, &arena, &key).code != ERR_OK, refs[i]);
    }
    key.private_ref = STR("file:moved\0x");
    assert_true(signer->ops->load(signer, &arena, &key).code != ERR_OK);
    assert_int_equal(rename(in_folder("moved"), file), 0);
    key.private_ref = elsewhere;
    assert_ok(signer->ops->load(signer, &arena, &key));
}

static volatile sig_atomic_t hung;

static void note_that_it_hung(int signal)
{
    (void)signal;
    hung = 1;
}

/* Opening a FIFO for reading waits for a writer that never comes: a start would hang. */
static void a_fifo_in_the_place_of_a_file_does_not_hang(void **state)
{
    struct key key = { 0 };
    (void)state;
    make_before(JWA_EDDSA, &key);
    OPEN(signer);
    assert_int_equal(unlink(in_folder(file_of(&key))), 0);
    assert_int_equal(mkfifo(in_folder(file_of(&key)), 0600), 0);
    const struct sigaction interrupt = { .sa_handler = note_that_it_hung }; /* without SA_RESTART */
    assert_int_equal(sigaction(SIGALRM, &interrupt, NULL), 0);
    alarm(2);
    assert_true(signer->ops->load(signer, &arena, &key).code != ERR_OK);
    alarm(0);
    assert_false(hung);
}

static void a_truncated_or_foreign_file_is_refused(void **state)
{
    struct key key = { 0 };
    (void)state;
    make_before(JWA_ES256, &key);
    OPEN(signer);
    struct str whole = read_text(file_of(&key));
    for (size_t len = 0; len < whole.len - 8; len += 7) { /* the last bytes are line ends and dashes */
        write_text(file_of(&key), (struct str){ whole.at, len }, 0600);
        assert_true(signer->ops->load(signer, &arena, &key).code != ERR_OK);
    }
    char *large = arena_alloc(&arena, 20000);
    memset(large, '\n', 20000);
    memcpy(large, whole.at, whole.len);
    write_text(file_of(&key), (struct str){ large, 20000 }, 0600);
    assert_true(signer->ops->load(signer, &arena, &key).code != ERR_OK);
    write_text(file_of(&key), whole, 0600);
    assert_ok(signer->ops->load(signer, &arena, &key));
}

/* The old service signed with one key and published another. */
static void a_file_whose_key_is_not_the_published_one_is_refused(void **state)
{
    struct key published = { 0 }, other = { 0 }, mixed;
    (void)state;
    struct signer *first = open_signer();
    assert_ok(first->ops->create(first, &arena, JWA_RS256, &published));
    assert_ok(first->ops->create(first, &arena, JWA_RS256, &other));
    first->ops->close(first);
    OPEN(signer);
    mixed = published;
    mixed.private_ref = other.private_ref;
    assert_int_equal(signer->ops->load(signer, &arena, &mixed).code, ERR_UNAVAILABLE);
    mixed = published;
    mixed.public_jwk = other.public_jwk;
    assert_int_equal(signer->ops->load(signer, &arena, &mixed).code, ERR_UNAVAILABLE);
    mixed = published;
    mixed.alg = STR("PS256");
    assert_true(signer->ops->load(signer, &arena, &mixed).code != ERR_OK);
    mixed.alg = STR("none");
    assert_true(signer->ops->load(signer, &arena, &mixed).code != ERR_OK);
    mixed = published;
    mixed.public_jwk = STR("{}");
    assert_true(signer->ops->load(signer, &arena, &mixed).code != ERR_OK);
    assert_false(signs(signer, &published, JWA_RS256)); /* nothing of that is kept */
    assert_false(signs(signer, &other, JWA_RS256));
    assert_ok(signer->ops->load(signer, &arena, &published));
}

static void an_interrupted_first_start_is_finished(void **state)
{
    OPEN(nothing);
    struct key key = { 0 }, found = { 0 };
    (void)state;
    assert_int_equal(nothing->ops->adopt(nothing, &arena, JWA_RS256, NULL, 0, &found).code, ERR_NOT_FOUND);
    make_before(JWA_RS256, &key);
    write_text(".signing-key-half.pem.123", STR("-----BEGIN"), 0600);
    write_text("signing-key-.pem", STR("x"), 0600);
    write_text("signing-key-other.pem", read_text(file_of(&key)), 0600); /* its name is not its key's */
    OPEN(signer);
    assert_int_equal(signer->ops->adopt(signer, &arena, JWA_ES256, NULL, 0, &found).code, ERR_NOT_FOUND);
    assert_ok(signer->ops->adopt(signer, &arena, JWA_RS256, NULL, 0, &found));
    assert_true(str_eq(found.kid, key.kid));
    assert_true(str_eq(found.private_ref, key.private_ref));
    assert_true(str_eq(found.public_jwk, key.public_jwk));
    assert_true(signs(signer, &found, JWA_RS256));
}

/* What has a row is somebody's already: only the others are adopted, each algorithm for itself. */
static void only_a_pair_that_nobody_knows_is_adopted(void **state)
{
    struct key known[3] = { { .state = 0 } }, orphan = { 0 }, found = { 0 };
    OPEN(signer);
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++)
        assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &known[i]));
    assert_code(signer->ops->adopt(signer, &arena, JWA_ES256, known, 3, &found), ERR_NOT_FOUND, "all are known");
    for (size_t i = 0; i < COUNT(known); i++) {
        const struct key others[] = { known[(i + 1) % 3], known[(i + 2) % 3] };
        assert_ok(signer->ops->adopt(signer, &arena, JWA_ES256, others, 2, &found));
        assert_true(str_eq(found.kid, known[i].kid));
    }
    assert_ok(signer->ops->create(signer, &arena, JWA_EDDSA, &orphan));
    assert_code(signer->ops->adopt(signer, &arena, JWA_ES256, known, 3, &found), ERR_NOT_FOUND, "another algorithm");
    assert_ok(signer->ops->adopt(signer, &arena, JWA_EDDSA, known, 3, &found));
    assert_true(str_eq(found.kid, orphan.kid));
}

static void a_lost_file_is_noticed_while_its_key_still_signs(void **state)
{
    OPEN(signer);
    struct key key = { 0 };
    (void)state;
    assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &key));
    assert_ok(signer->ops->check(signer));
    assert_int_equal(unlink(in_folder(file_of(&key))), 0);
    assert_int_equal(signer->ops->check(signer).code, ERR_UNAVAILABLE);
    assert_true(signs(signer, &key, JWA_ES256));
}

static void a_folder_that_is_not_there_is_an_error_that_names_it(void **state)
{
    const struct settings settings = { .data_dir = in_folder("none") };
    struct signer *signer = NULL;
    (void)state;
    struct err err = signer_local_open(&settings, &signer);
    assert_code(err, ERR_INVALID_REQUEST, "no folder");
    assert_non_null(strstr(err.why, "TOKEN_DATA_DIR"));
    assert_null(signer);
}

static int quiet(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_JSON);
    return 0;
}

RUN_WITH(quiet, NULL, TEST_IN_FOLDER(a_made_key_signs_and_its_file_is_its_owners_alone),
         TEST_IN_FOLDER(a_key_is_loaded_again_after_a_restart),
         TEST_IN_FOLDER(a_key_signs_with_its_own_algorithm_alone),
         TEST_IN_FOLDER(a_file_that_others_can_reach_is_refused_by_name),
         TEST_IN_FOLDER(a_file_of_another_user_is_refused),
         TEST_IN_FOLDER(a_link_a_folder_or_nothing_in_the_place_of_a_file_is_refused),
         TEST_IN_FOLDER(a_truncated_or_foreign_file_is_refused),
         TEST_IN_FOLDER(a_file_whose_key_is_not_the_published_one_is_refused),
         TEST_IN_FOLDER(an_interrupted_first_start_is_finished),
         TEST_IN_FOLDER(only_a_pair_that_nobody_knows_is_adopted),
         TEST_IN_FOLDER(a_lost_file_is_noticed_while_its_key_still_signs),
         TEST_IN_FOLDER(a_folder_that_is_not_there_is_an_error_that_names_it),
         TEST_IN_FOLDER(a_fifo_in_the_place_of_a_file_does_not_hang))
