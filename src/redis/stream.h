/* redis/stream.h: one TCP connection, plain or TLS, for blocking callers: every call has a deadline on clock_ms(),
 * which holds however much the other end sends, so that one deadline can be given to all calls of an exchange. Used by
 * one thread at a time. Failures are ERR_UNAVAILABLE with a static sentence; the owner of the connection logs them,
 * since only the owner knows whether they are news. After a failure the stream can only be closed (stream_close()). */
#ifndef REDIS_STREAM_H
#define REDIS_STREAM_H

#include "base/mem.h"

/* What TLS trusts: the certificates of `ca_file` in PEM, or the system's when that is "". */
struct stream_tls;
MUST_USE struct err stream_tls_open(const char *ca_file, struct stream_tls **out);
/* The client certificate, for servers that ask for one: PEM files of the certificate with its intermediates, and of its
 * private key. */
MUST_USE struct err stream_tls_present(struct stream_tls *tls, const char *cert_file, const char *key_file);
void stream_tls_close(struct stream_tls *tls); /* NULL allowed */

struct stream;
/* `host` is a name or an address, without brackets. With `tls` (which must outlive the stream) the server's certificate
 * must be trusted and name the host (RFC 9525), TLS 1.2 at least. The name's look-up has the resolver's own limit. */
MUST_USE struct err stream_open(const char *host, uint16_t port, struct stream_tls *tls, int64_t deadline_ms,
                                struct stream **out);
/* All of it. */
MUST_USE struct err stream_send(struct stream *stream, struct str bytes, int64_t deadline_ms);
/* At least one byte, at most `room`. */
MUST_USE struct err stream_receive(struct stream *stream, char *to, size_t room, int64_t deadline_ms, size_t *got);
/* Whether the other end has neither closed the connection nor sent anything unasked. Never waits. */
bool stream_is_quiet(const struct stream *stream);
void stream_close(struct stream *stream); /* NULL allowed */

#endif
