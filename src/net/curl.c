/* net/curl.c: loads libcurl. Its memory is wiped when it is freed, since responses hold secrets (credentials, an
 * unwrapped key), and so do the headers that it builds. */
#include "net/curl.h"
#include "base/library.h"
#include "base/mem.h"
#include "observe/log.h"
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

static struct curl_calls calls;
static bool is_loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void curl_wipe_and_free(void *at)
{
    mem_wipe(at, malloc_usable_size(at));
    free(at);
}

/* realloc() itself would leave a copy behind. */
static void *curl_move_and_wipe(void *at, size_t size)
{
    size_t had = malloc_usable_size(at);
    if (at && size > 0 && size <= had && size >= had / 2)
        return at;
    void *moved = malloc(size > 0 ? size : 1);
    if (!moved)
        return NULL;
    if (at)
        memcpy(moved, at, had < size ? had : size);
    curl_wipe_and_free(at);
    return moved;
}

static bool curl_find_all(void *library)
{
    const struct library_function wanted[] = {
        { "curl_global_init_mem", &calls.global_init_mem },
        { "curl_easy_init", &calls.easy_init },
        { "curl_easy_setopt", &calls.easy_setopt },
        { "curl_easy_perform", &calls.easy_perform },
        { "curl_easy_getinfo", &calls.easy_getinfo },
        { "curl_easy_cleanup", &calls.easy_cleanup },
        { "curl_easy_strerror", &calls.easy_strerror },
        { "curl_share_init", &calls.share_init },
        { "curl_share_setopt", &calls.share_setopt },
        { "curl_share_cleanup", &calls.share_cleanup },
        { "curl_getdate", &calls.getdate },
    };
    const struct library_function of_openssl[] = {
        { "SSL_CTX_set_options", &calls.set_options },
        { "SSL_CTX_set1_cert_store", &calls.set_cert_store }, /* the last: it is there when all are */
    };
    (void)library_find(library, of_openssl, sizeof of_openssl / sizeof *of_openssl);
    return library_find(library, wanted, sizeof wanted / sizeof *wanted);
}

DLOPEN_NOTE(note, "libcurl.so.4", "http", "AWS KMS, credentials of AWS, Supabase, URLs of clients", "recommended");

static void curl_load_once(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL); /* stays for good */
    if (!library || !curl_find_all(library)) {
        const char *why = dlerror();
        LOG(LOG_ERROR, "libcurl_missing", LOG_TEXT_("detail", why ? why : "a function is missing"));
        return;
    }
    is_loaded = calls.global_init_mem(CURL_GLOBAL_DEFAULT, malloc, curl_wipe_and_free, curl_move_and_wipe, strdup,
                                      calloc) == 0;
}

struct err curl_load(const struct curl_calls **out)
{
    pthread_once(&once, curl_load_once);
    if (!is_loaded)
        return failed(ERR_UNAVAILABLE, "libcurl (libcurl.so.4) is needed for calls to other services, and is missing");
    *out = &calls;
    return OK;
}
