/* aws/signed_call.c: signs a call and sends it once. */
#include "aws/signed_call.h"
#include "aws/endpoint.h"
#include "observe/log.h"
#include <time.h>

enum { HEADERS = 6, CLOCK_AGREES_S = 5 };

struct aws_place aws_place_in(const struct settings *settings, struct arena *arena, const char *service,
                              struct str region)
{
    const struct str url = endpoint_url(settings, arena, service, region);
    return (struct aws_place){ region, url, arena_copy(arena, endpoint_host(url)), endpoint_path(url) };
}

/* --- who calls ---------------------------------------------------------------------------------------------------- */

struct err signed_caller_open(struct signed_caller *caller, const char *service, const struct settings *settings)
{
    struct net_client *net = NULL;
    const struct err err = net_open(settings->aws_ca_bundle, &net);
    if (err.code == ERR_INVALID_REQUEST)
        return failed(err.code, "AWS_CA_BUNDLE is not a readable PEM file with certificates");
    TRY(err);
    *caller = (struct signed_caller){ .service = service, .net = net, .credentials = credentials_new(net, settings) };
    pthread_mutex_init(&caller->lock, NULL);
    return OK;
}

void signed_caller_close(struct signed_caller *caller)
{
    credentials_free(caller->credentials);
    pthread_mutex_destroy(&caller->lock);
    net_close(caller->net);
    mem_wipe(&caller->signing, sizeof caller->signing);
}

int64_t signed_caller_time_s(const struct signed_caller *caller)
{
    return (int64_t)time(NULL) + atomic_load_explicit(&caller->skew_s, memory_order_relaxed);
}

void signed_caller_move_clock(struct signed_caller *caller, const struct net_answer *answer)
{
    const int64_t skew_s = answer->date_s - (int64_t)time(NULL);
    const int64_t now_s = atomic_load_explicit(&caller->skew_s, memory_order_relaxed);
    if (answer->date_s == 0 || (skew_s - now_s < CLOCK_AGREES_S && now_s - skew_s < CLOCK_AGREES_S))
        return;
    atomic_store_explicit(&caller->skew_s, skew_s, memory_order_relaxed);
    LOG(LOG_WARN, "clock_corrected", LOG_INT("aws_is_ahead_s", skew_s));
}

/* --- the signature ------------------------------------------------------------------------------------------------ */

/* The derived key of this day, region and these credentials; derived again when one of them changes. The caller wipes
 * it. */
static struct err signed_call_key(struct signed_caller *caller, const struct aws_credentials *credentials,
                                  const struct sigv4_scope *scope, unsigned char out[SIGV4_KEY_LEN])
{
    struct err err = OK;
    pthread_mutex_lock(&caller->lock);
    if (caller->signing.serial != credentials->serial ||
        memcmp(caller->signing.day, scope->time, SIGV4_DATE_LEN) != 0 ||
        !str_eq(str_of(caller->signing.region), scope->region)) {
        caller->signing.serial = 0;
        err = sigv4_derive_key(credentials->secret_key, scope, caller->signing.key);
        if (!err.code) {
            memcpy(caller->signing.day, scope->time, SIGV4_DATE_LEN);
            memcpy(caller->signing.region, scope->region.at, scope->region.len);
            caller->signing.region[scope->region.len] = '\0';
            caller->signing.serial = credentials->serial;
        }
    }
    memcpy(out, caller->signing.key, SIGV4_KEY_LEN);
    pthread_mutex_unlock(&caller->lock);
    return err;
}

/* The headers to sign, the last of them only where there is a session token. */
static size_t signed_call_fill_headers(const struct signed_call *call, const struct aws_credentials *credentials,
                                       const char *time, struct net_header headers[HEADERS])
{
    size_t count = 0;
    headers[count++] = (struct net_header){ "Content-Type", "application/x-amz-json-1.1" };
    headers[count++] = (struct net_header){ "Host", call->place->host.at };
    headers[count++] = (struct net_header){ "X-Amz-Date", time };
    headers[count++] = (struct net_header){ "X-Amz-Target", call->target };
    if (credentials->token.len > 0)
        headers[count++] = (struct net_header){ "X-Amz-Security-Token", credentials->token.at };
    return count;
}

/* Adds the Authorization header. */
static struct err signed_call_sign(struct signed_caller *caller, struct arena *arena, const struct signed_call *call,
                                   const struct aws_credentials *credentials, const struct sigv4_scope *scope,
                                   struct net_header *headers, size_t *count)
{
    struct sigv4_header signed_headers[HEADERS];
    unsigned char key[SIGV4_KEY_LEN];
    struct str authorization = { 0, 0 };
    for (size_t i = 0; i < *count; i++)
        signed_headers[i] = (struct sigv4_header){ str_of(headers[i].name), str_of(headers[i].value) };
    const struct sigv4_request request = { .method = STR("POST"),
                                           .path = call->place->path,
                                           .headers = signed_headers,
                                           .header_count = *count,
                                           .body = call->body,
                                           .normalize_path = true };
    TRY(signed_call_key(caller, credentials, scope, key));
    const struct err err = sigv4_authorization(arena, &request, scope, credentials->access_key, key, &authorization);
    mem_wipe(key, sizeof key);
    headers[(*count)++] = (struct net_header){ "Authorization", authorization.at };
    return err;
}

struct err signed_call_send(struct signed_caller *caller, struct arena *arena, const struct signed_call *call,
                            const struct aws_credentials *credentials, struct net_answer *out)
{
    struct net_header headers[HEADERS];
    struct sigv4_scope scope = { .region = call->place->region, .service = str_of(caller->service) };
    sigv4_time(signed_caller_time_s(caller), scope.time);
    size_t count = signed_call_fill_headers(call, credentials, scope.time, headers);
    TRY(signed_call_sign(caller, arena, call, credentials, &scope, headers, &count));
    const struct net_request request = { .method = "POST",
                                         .url = call->place->url.at,
                                         .headers = headers,
                                         .header_count = count,
                                         .body = call->body,
                                         .timeout_ms = call->timeout_ms,
                                         .answer_max = call->answer_max,
                                         .is_secret = call->is_secret,
                                         .is_unique = call->is_unique };
    return net_send(caller->net, arena, &request, out);
}
