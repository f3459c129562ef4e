/* bench/kms.c: an AWS KMS that answers after a latency of one's choice, so that what the service makes of a distant KMS
 * can be measured. Real keys and real signatures, made when a call arrives; the answer goes out when its time has come.
 * What it costs is to be little, since the real one runs elsewhere: so a nonce of ECDSA is prepared beforehand, and
 * used again and again. Its signatures are good and its keys worth nothing. It knows the five calls that the service
 * makes, checks no caller, and keeps nothing.
 *
 *     bench_kms PORT LATENCY_US CALLS_A_SECOND
 *
 * listens on 127.0.0.1 until SIGTERM. CALLS_A_SECOND: more calls of Sign are throttled as KMS does it; 0: no limit. The
 * keys are "es256", "rs256", and "wrap" (symmetric). One thread. */
#define OPENSSL_SUPPRESS_DEPRECATED /* signing with a prepared nonce has no other name */
#include "base/clock.h"
#include "base/json.h"
#include "http/exchange.h"
#include "jose/b64.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 16 * 1024, DER_MAX = 4096, PAIRS_MAX = 64, EVENTS = 256 };

struct peer {
    struct peer
        *next; /* among the answers that wait: all wait equally long, so a list in the order of arrival will do */
    int fd;
    struct exchange *exchange;
    int64_t due_ns;
    struct buf answer;
};

static struct {
    int epoll_fd, listen_fd;
    int64_t latency_ns;
    long calls_a_second, left; /* of Sign, in the second that `window_s` begins */
    int64_t window_s;
    EVP_PKEY *es256, *rs256;
    EC_KEY *ec;                 /* the half of es256 that signs */
    BIGNUM *inverse, *nonce;    /* prepared */
    EVP_PKEY *pairs[PAIRS_MAX]; /* what GenerateDataKeyPairWithoutPlaintext has made; a wrapped key is its number */
    size_t pair_count;
    struct exchange_pool pool;
    struct peer *first, **last;
} kms;

static _Noreturn void give_up(const char *what)
{
    perror(what);
    exit(1);
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static void add_base64(struct buf *out, const unsigned char *bytes, size_t len)
{
    char *to = buf_reserve(out, (len + 2) / 3 * 4 + 1);
    if (to)
        out->len += (size_t)EVP_EncodeBlock((unsigned char *)to, bytes, (int)len);
}

static void add_public_key(struct buf *out, EVP_PKEY *key)
{
    unsigned char der[DER_MAX], *end = der;
    int len = i2d_PUBKEY(key, NULL);
    if (len <= 0 || len > DER_MAX || i2d_PUBKEY(key, &end) != len)
        give_up("i2d_PUBKEY");
    buf_add(out, STR("\"PublicKey\":\""));
    add_base64(out, der, (size_t)len);
    buf_add_char(out, '"');
}

static struct str member(const struct json *call, struct str name)
{
    const struct json *found = json_member(call, name);
    return found && found->kind == JSON_STRING ? found->text : STR("");
}

static EVP_PKEY *key_of(const struct json *call)
{
    struct str id = member(call, STR("KeyId"));
    return id.len >= 5 && str_eq((struct str){ id.at + id.len - 5, 5 }, STR("rs256")) ? kms.rs256 : kms.es256;
}

static void describe(const struct json *call, struct buf *out)
{
    struct str id = member(call, STR("KeyId"));
    const char *slash = id.len ? memrchr(id.at, '/', id.len) : NULL;
    if (slash)
        id = (struct str){ slash + 1, id.len - (size_t)(slash + 1 - id.at) };
    bool wraps = str_eq(id, STR("wrap"));
    buf_add(out, STR("{\"KeyMetadata\":{\"Arn\":\"arn:aws:kms:us-east-1:000000000000:key/"));
    buf_add(out, id);
    buf_add(out, STR("\",\"KeyState\":\"Enabled\",\"KeyUsage\":"));
    buf_add(out, wraps ? STR("\"ENCRYPT_DECRYPT\"") : STR("\"SIGN_VERIFY\""));
    buf_add(out, STR(",\"KeySpec\":"));
    buf_add(out, wraps                       ? STR("\"SYMMETRIC_DEFAULT\"}}")
                 : key_of(call) == kms.rs256 ? STR("\"RSA_2048\"}}")
                                             : STR("\"ECC_NIST_P256\"}}"));
}

static bool sign_rs256(const unsigned char *digest, size_t len, unsigned char *out, size_t *out_len)
{
    static EVP_PKEY_CTX *ctx; /* one for all, as the service's own signer keeps its */
    if (!ctx && (!(ctx = EVP_PKEY_CTX_new(kms.rs256, NULL)) || EVP_PKEY_sign_init(ctx) <= 0 ||
                 EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) <= 0 ||
                 EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) <= 0))
        give_up("EVP_PKEY_sign_init");
    return EVP_PKEY_sign(ctx, out, out_len, digest, len) > 0;
}

static bool sign_es256(const unsigned char *digest, size_t len, unsigned char *out, size_t *out_len)
{
    unsigned der_len = (unsigned)*out_len;
    bool good = ECDSA_sign_ex(0, digest, (int)len, out, &der_len, kms.inverse, kms.nonce, kms.ec) == 1;
    *out_len = der_len;
    return good;
}

static void sign(const struct json *call, struct buf *out)
{
    unsigned char digest[512], signature[512];
    size_t len = 0, signature_len = sizeof signature;
    struct str message = member(call, STR("Message"));
    bool good = message.len <= 600 && b64_decode(message, (char *)digest, &len) &&
                (key_of(call) == kms.rs256 ? sign_rs256(digest, len, signature, &signature_len)
                                           : sign_es256(digest, len, signature, &signature_len));
    if (!good)
        give_up("Sign");
    buf_add(out, STR("{\"Signature\":\""));
    add_base64(out, signature, signature_len);
    buf_add(out, STR("\"}"));
}

static void generate_pair(struct buf *out)
{
    if (kms.pair_count == PAIRS_MAX)
        give_up("too many pairs");
    EVP_PKEY *pair = kms.pairs[kms.pair_count] = EVP_RSA_gen(2048);
    const unsigned char number = (unsigned char)kms.pair_count++;
    buf_add(out, STR("{\"PrivateKeyCiphertextBlob\":\""));
    add_base64(out, &number, 1);
    buf_add(out, STR("\","));
    add_public_key(out, pair);
    buf_add_char(out, '}');
}

static void decrypt(const struct json *call, struct buf *out)
{
    unsigned char der[DER_MAX], *end = der;
    char number[8];
    size_t len = 0;
    struct str blob = member(call, STR("CiphertextBlob"));
    if (blob.len != 4 || !b64_decode(blob, number, &len) || len != 1 || (size_t)number[0] >= kms.pair_count)
        give_up("Decrypt");
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(kms.pairs[(size_t)number[0]]);
    int der_len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &end) : 0;
    if (der_len <= 0 || der_len > DER_MAX)
        give_up("i2d_PKCS8_PRIV_KEY_INFO");
    PKCS8_PRIV_KEY_INFO_free(info);
    buf_add(out, STR("{\"Plaintext\":\""));
    add_base64(out, der, (size_t)der_len);
    buf_add(out, STR("\"}"));
}

static bool is_throttled(void)
{
    int64_t now_s = clock_ns() / 1000000000;
    if (kms.calls_a_second == 0)
        return false;
    if (now_s != kms.window_s) {
        kms.window_s = now_s;
        kms.left = kms.calls_a_second;
    }
    return kms.left-- <= 0;
}

static struct str target_of(const struct exchange *exchange)
{
    static const char header[] = "TrentService.";
    const char *at = memmem(exchange->in, exchange->head_len, header, sizeof header - 1);
    struct str rest = { at ? at + sizeof header - 1 : "", at ? 64 : 0 }, target;
    return str_cut(&rest, '\r', &target) ? target : STR("");
}

static int answer(struct exchange *exchange, struct buf *out)
{
    const struct json *call;
    struct str target = target_of(exchange);
    if (json_parse(&exchange->arena, exchange->request.body, &call).code)
        give_up("a body that is no JSON");
    if (str_eq(target, STR("Sign"))) {
        if (is_throttled()) {
            buf_add(out, STR("{\"__type\":\"ThrottlingException\",\"message\":\"You have exceeded the rate\"}"));
            return 400;
        }
        sign(call, out);
    } else if (str_eq(target, STR("DescribeKey"))) {
        describe(call, out);
    } else if (str_eq(target, STR("GetPublicKey"))) {
        buf_add_char(out, '{');
        add_public_key(out, key_of(call));
        buf_add_char(out, '}');
    } else if (str_eq(target, STR("GenerateDataKeyPairWithoutPlaintext"))) {
        generate_pair(out);
    } else if (str_eq(target, STR("Decrypt"))) {
        decrypt(call, out);
    } else {
        buf_add(out, STR("{\"__type\":\"AccessDeniedException\"}"));
        return 400;
    }
    return 200;
}

/* --- connections ------------------------------------------------------------------------------------------------- */

static void make_answer(struct peer *peer)
{
    struct exchange *exchange = peer->exchange;
    struct buf body;
    buf_init(&body, &exchange->arena, 1024, ANSWER_MAX);
    buf_init(&peer->answer, &exchange->arena, 2048, ANSWER_MAX);
    int status = answer(exchange, &body);
    buf_add(&peer->answer, status == 200 ? STR("HTTP/1.1 200 OK\r\n") : STR("HTTP/1.1 400 Bad Request\r\n"));
    buf_add(&peer->answer, STR("Content-Type: application/x-amz-json-1.1\r\nContent-Length: "));
    buf_add_int(&peer->answer, (int64_t)body.len);
    buf_add(&peer->answer, STR("\r\n\r\n"));
    buf_add(&peer->answer, buf_str(&body));
    peer->due_ns = clock_ns() + kms.latency_ns;
    peer->next = NULL;
    *kms.last = peer;
    kms.last = &peer->next;
}

static void drop(struct peer *peer)
{
    exchange_give_back(&kms.pool, peer->exchange);
    close(peer->fd);
    free(peer);
}

/* Reads until a call is whole. A peer that ends while its answer waits is only dropped by the send. */
static void receive(struct peer *peer)
{
    struct exchange *exchange = peer->exchange;
    if (peer->answer.len > 0)
        return;
    ssize_t got = recv(peer->fd, exchange->in + exchange->received, exchange_room_left(&kms.pool, exchange), 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        drop(peer);
        return;
    }
    struct err failure;
    exchange_received(exchange, (size_t)got);
    switch (exchange_read(&kms.pool, exchange, &failure)) {
    case EXCHANGE_WHOLE:
        make_answer(peer);
        break;
    case EXCHANGE_BAD:
        give_up(failure.why);
    case EXCHANGE_PARTIAL:
    case EXCHANGE_EXPECTING:
        break;
    }
}

static void send_due(void)
{
    int64_t now_ns = clock_ns();
    while (kms.first && kms.first->due_ns <= now_ns) {
        struct peer *peer = kms.first;
        kms.first = peer->next;
        if (!kms.first)
            kms.last = &kms.first;
        bool sent = send(peer->fd, peer->answer.at, peer->answer.len, MSG_NOSIGNAL) == (ssize_t)peer->answer.len;
        exchange_give_back(&kms.pool, peer->exchange);
        peer->exchange = exchange_take(&kms.pool);
        peer->answer = (struct buf){ 0 };
        if (!sent)
            drop(peer);
    }
}

static void accept_one(void)
{
    const int yes = 1;
    int fd = accept4(kms.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct peer *peer = mem_alloc(sizeof *peer);
    *peer = (struct peer){ .fd = fd, .exchange = exchange_take(&kms.pool) };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = peer };
    if (epoll_ctl(kms.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        give_up("epoll_ctl");
}

static void run_turn(void)
{
    struct epoll_event events[EVENTS];
    int64_t wait_ns = kms.first ? kms.first->due_ns - clock_ns() : 250000000;
    if (wait_ns < 0)
        wait_ns = 0;
    const struct timespec wait = { .tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000 };
    int count = epoll_pwait2(kms.epoll_fd, events, EVENTS, &wait, NULL);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            receive(events[i].data.ptr);
        else
            accept_one();
    }
    send_due();
}

static void open_socket(uint16_t port)
{
    const int yes = 1;
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons(port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
    kms.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    kms.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (kms.listen_fd < 0 || setsockopt(kms.listen_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0)
        give_up("socket");
    if (bind(kms.listen_fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(kms.listen_fd, 512) != 0 || epoll_ctl(kms.epoll_fd, EPOLL_CTL_ADD, kms.listen_fd, &event) != 0)
        give_up("listen");
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: bench_kms PORT LATENCY_US CALLS_A_SECOND\n");
        return 2;
    }
    kms.last = &kms.first;
    kms.latency_ns = strtol(argv[2], NULL, 10) * 1000;
    kms.calls_a_second = strtol(argv[3], NULL, 10);
    kms.es256 = EVP_EC_gen("P-256");
    kms.rs256 = EVP_RSA_gen(2048);
    kms.ec = EVP_PKEY_get1_EC_KEY(kms.es256);
    if (ECDSA_sign_setup(kms.ec, NULL, &kms.inverse, &kms.nonce) != 1)
        give_up("ECDSA_sign_setup");
    exchange_pool_init(&kms.pool, 8192, 65536, (size_t)64 << 20);
    open_socket((uint16_t)strtol(argv[1], NULL, 10));
    for (;;)
        run_turn();
}
