/* test_private_memory.c: where the numbers of a private key lie while it signs on many threads, and that nothing of
 * them is left when it is freed. The process looks through its own memory. */
#include "jose/jws.h"
#include "jose/password.h"
#include "jose/private_memory.h"
#include "unit.h"
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <openssl/x509.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALLOCATOR_KEEPS
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ALLOCATOR_KEEPS
#endif
#endif

enum { PIECE = 16, PIECES_MAX = 8, HIDING = 4096 };

/* Pieces of the secret numbers, in a page that the search leaves out. */
struct pieces {
    unsigned char bytes[PIECES_MAX][PIECE];
    size_t count;
};
static struct pieces *pieces;

/* Both as OpenSSL computes with it (little-endian words) and as it is encoded. */
static void look_for(EVP_PKEY *pkey, const char *name)
{
    struct secret room = { 0 };
    BIGNUM *number = BN_secure_new();
    assert_ok(secret_init(&room, 1024, NULL));
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, name, &number), 1);
    int len = BN_num_bytes(number);
    BN_bn2lebinpad(number, (unsigned char *)room.at, len);
    memcpy(pieces->bytes[pieces->count++], room.at + len / 4, PIECE);
    BN_bn2binpad(number, (unsigned char *)room.at, len);
    memcpy(pieces->bytes[pieces->count++], room.at + len / 4, PIECE);
    BN_clear_free(number);
    secret_release(&room);
}

/* How often a piece occurs in writable memory, and how often outside of the secure heap. */
static void search(size_t *found, size_t *astray)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    *found = *astray = 0;
    while (fgets(line, sizeof line, maps)) {
        char *rest = line; /* "from-to rw-p …" */
        uintptr_t from = strtoull(rest, &rest, 16), to = *rest == '-' ? strtoull(rest + 1, &rest, 16) : 0;
        if (strncmp(rest, " rw", 3) != 0 || ((uintptr_t)pieces >= from && (uintptr_t)pieces < to))
            continue;
        for (size_t i = 0; i < pieces->count; i++)
            for (const char *at = (const char *)from; /* NOLINT(performance-no-int-to-ptr) */
                 (at = memmem(at, to - (uintptr_t)at, pieces->bytes[i], PIECE)); at++) {
                ++*found;
                *astray += !CRYPTO_secure_allocated(at);
            }
    }
    fclose(maps);
}

static pthread_barrier_t all_have_signed, all_may_end;

static void *sign_some(void *arg)
{
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    for (int i = 0; i < 70; i++) /* RSA makes its blinding anew after 32 */
        assert_ok(jws_sign(arg, STR("a.b"), signature, &len));
    pthread_barrier_wait(&all_have_signed);
    pthread_barrier_wait(&all_may_end);
    return NULL;
}

/* The threads sleep, as workers do, while the key is searched, freed, and searched again. */
static void use_and_free(struct jwk *key)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    size_t found, astray;
    pthread_barrier_init(&all_have_signed, NULL, THREADS + 1);
    pthread_barrier_init(&all_may_end, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_some, key), 0);
    pthread_barrier_wait(&all_have_signed);
    search(&found, &astray);
    jwk_free(key);
    assert_true(found > 0);
    assert_int_equal(astray, 0);
    search(&found, &astray);
    assert_int_equal(found, 0);
    pthread_barrier_wait(&all_may_end);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&all_have_signed);
    pthread_barrier_destroy(&all_may_end);
}

static void begin_search(void)
{
    pieces = mmap(NULL, HIDING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pieces != MAP_FAILED);
}

static void a_private_key_lies_in_the_secure_heap_alone_and_leaves_nothing(void **state)
{
    static const struct {
        enum jwa alg;
        const char *numbers[3];
    } rows[] = { { JWA_RS256, { "rsa-factor1", "rsa-factor2", "d" } },
                 { JWA_PS256, { "rsa-factor1", "rsa-factor2", "d" } },
                 { JWA_ES256, { "priv" } } };
    (void)state;
#ifdef ALLOCATOR_KEEPS
    skip();
#endif
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct jwk *made = NULL, *key = NULL;
        struct secret pem = { 0 };
        begin_search();
        assert_ok(jwk_generate(rows[i].alg, &made));
        for (size_t k = 0; k < COUNT(rows[i].numbers) && rows[i].numbers[k]; k++)
            look_for(made->pkey, rows[i].numbers[k]);
        assert_ok(jwk_write_private_pem(made, &pem));
        assert_ok(jwk_read_private_pem((struct str){ pem.at, pem.len }, rows[i].alg, &key));
        secret_release(&pem);
        jwk_free(made);
        use_and_free(key);
        munmap(pieces, HIDING);
    }
}

/* As KMS unwraps it. */
static void a_key_read_from_pkcs8_leaves_nothing(void **state)
{
    (void)state;
#ifdef ALLOCATOR_KEEPS
    skip();
#endif
    struct jwk *made = NULL, *key = NULL;
    struct secret der = { 0 };
    size_t len;
    begin_search();
    assert_ok(jwk_generate(JWA_RS256, &made));
    look_for(made->pkey, "rsa-factor1");
    look_for(made->pkey, "d");
    private_memory_begin();
    unsigned char *at = NULL;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(made->pkey);
    int encoded = i2d_PKCS8_PRIV_KEY_INFO(info, &at);
    PKCS8_PRIV_KEY_INFO_free(info);
    assert_true(encoded > 0);
    len = (size_t)encoded;
    assert_ok(secret_init(&der, len, NULL));
    memcpy(der.at, at, len);
    OPENSSL_clear_free(at, len);
    private_memory_end();
    jwk_free(made);
    assert_int_equal(jwk_read_private_der((struct str){ der.at, len - 1 }, JWA_RS256, &key).code, ERR_INVALID_REQUEST);
    assert_int_equal(jwk_read_private_der((struct str){ der.at, len + 1 }, JWA_RS256, &key).code, ERR_INVALID_REQUEST);
    assert_int_equal(jwk_read_private_der((struct str){ der.at, len }, JWA_ES256, &key).code, ERR_INVALID_REQUEST);
    assert_ok(jwk_read_private_der((struct str){ der.at, len }, JWA_RS256, &key));
    secret_release(&der);
    use_and_free(key);
    munmap(pieces, HIDING);
}

/* OpenSSL 3.2 and newer would take 19 MiB for Argon2id from a heap of 4. */
static void a_password_is_hashed_beside_the_secure_heap(void **state)
{
    struct str hash;
    bool right = false;
    (void)state;
    assert_ok(password_hash(&arena, STR("correct horse"), &hash));
    assert_ok(password_check(hash, STR("correct horse"), &right));
    assert_true(right);
    assert_int_equal(CRYPTO_secure_used(), 0);
}

static int open_memory(void **state)
{
    (void)state;
    return private_memory_open() ? 0 : -1;
}

RUN_WITH(open_memory, NULL, TEST(a_password_is_hashed_beside_the_secure_heap),
         TEST(a_private_key_lies_in_the_secure_heap_alone_and_leaves_nothing),
         TEST(a_key_read_from_pkcs8_leaves_nothing))
