/* net/answer.c: bytes gather in `in` until the head is whole; then what comes is moved on into the body. */
#include "net/answer.h"
#include "wire/lines.h"

enum { HEADERS_MAX = 64, INTERIM_MAX = 8, TEXT_MAX = 256, FIRST_BODY = 4096, SECONDS_DIGITS_MAX = 6 };

static const struct err too_long = { ERR_TOO_LARGE, "the answer is too long" };

static struct err malformed(const char *why)
{
    return failed(ERR_INVALID_REQUEST, why);
}

void answer_begin(struct answer *answer, struct arena *arena, size_t body_max)
{
    size_t touched = answer->touched;
    memset(answer, 0, offsetof(struct answer, in));
    answer->touched = touched;
    answer->arena = arena;
    answer->body_max = body_max;
}

char *answer_room(struct answer *answer, size_t *room)
{
    *room = ANSWER_ROOM - answer->received;
    return answer->in + answer->received;
}

void answer_wipe(struct answer *answer)
{
    mem_wipe(answer->in, answer->touched);
}

/* The first bytes of `in` are dealt with. */
static void drop(struct answer *answer, size_t count)
{
    answer->received -= count;
    memmove(answer->in, answer->in + count, answer->received);
    answer->searched = 0;
}

/* --- the head ---------------------------------------------------------------------------------------------------- */

/* HTTP-version SP 3DIGIT SP [ reason-phrase ] (RFC 9112 section 4). The second space is left out by some servers. */
static bool read_status_line(struct str line, struct answer *answer)
{
    const char *at = line.at + 9;
    if (line.len < 12 || (line.len > 12 && line.at[12] != ' ') || !wire_is_value(line))
        return false;
    if (memcmp(line.at, "HTTP/1.1 ", 9) != 0 && memcmp(line.at, "HTTP/1.0 ", 9) != 0)
        return false;
    answer->keeps_connection = line.at[7] == '1';
    for (size_t i = 0; i < 3; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        answer->status = answer->status * 10 + (at[i] - '0');
    }
    return answer->status >= 100 && answer->status < 600;
}

/* A number of seconds. A date (RFC 9110 section 10.2.3) says nothing here. */
static int64_t seconds_of(struct str text)
{
    size_t seconds = 0;
    return text.len <= SECONDS_DIGITS_MAX && wire_read_length(text, &seconds) ? (int64_t)seconds : 0;
}

static void keep_text(const struct answer *answer, struct str value, struct str *out)
{
    if (value.len <= TEXT_MAX)
        *out = arena_copy(answer->arena, value);
}

/* False for what makes the answer's end uncertain. */
static bool take_header(struct answer *answer, struct str name, struct str value)
{
    if (str_eq_nocase(name, STR("Content-Length"))) {
        bool is_first = !answer->has_length;
        answer->has_length = true;
        return is_first && wire_read_length(value, &answer->left);
    }
    if (str_eq_nocase(name, STR("Transfer-Encoding"))) {
        bool is_first = !answer->is_chunked;
        answer->is_chunked = true;
        return is_first && str_eq_nocase(value, STR("chunked"));
    }
    if (str_eq_nocase(name, STR("Connection"))) {
        struct str item;
        while (str_next_item(&value, ',', &item))
            if (str_eq_nocase(str_trim(item), STR("close")))
                answer->keeps_connection = false;
    } else if (str_eq_nocase(name, STR("Date"))) {
        keep_text(answer, value, &answer->date);
    } else if (str_eq_nocase(name, STR("x-amzn-RequestId")) || str_eq_nocase(name, STR("x-amz-request-id"))) {
        keep_text(answer, value, &answer->request_id);
    } else if (str_eq_nocase(name, STR("x-amzn-ErrorType"))) {
        keep_text(answer, value, &answer->error_type);
    } else if (str_eq_nocase(name, STR("Retry-After"))) {
        answer->retry_after_s = seconds_of(value);
    }
    return true;
}

static bool read_lines(struct answer *answer, struct str head)
{
    struct str rest = head, line, name, value;
    if (!wire_next_line(&rest, &line) || !read_status_line(line, answer))
        return false;
    for (size_t count = 0; wire_next_line(&rest, &line); count++) {
        if (line.len == 0)
            return rest.len == 0;
        if (count == HEADERS_MAX || !wire_read_header(line, &name, &value) || !take_header(answer, name, value))
            return false;
    }
    return false;
}

/* Where the body ends (RFC 9112 section 6.3). */
static struct err begin_body(struct answer *answer)
{
    const bool has_none = answer->status == 204 || answer->status == 304;
    const size_t length = has_none ? 0 : answer->left;
    if (answer->is_chunked && answer->has_length)
        return malformed("the answer has both Content-Length and Transfer-Encoding");
    if (length > answer->body_max)
        return too_long;
    answer->left = length;
    buf_init(&answer->body, answer->arena, answer->has_length && length < FIRST_BODY ? length : FIRST_BODY,
             answer->body_max);
    if (has_none || (answer->has_length && length == 0))
        answer->state = ANSWER_WHOLE;
    else if (answer->has_length)
        answer->state = ANSWER_BODY;
    else
        answer->state = answer->is_chunked ? ANSWER_CHUNKS : ANSWER_TO_END;
    return OK;
}

/* An interim answer (1xx, RFC 9110 section 15.2) is passed over: the answer begins anew behind it. */
static struct err pass_over(struct answer *answer, size_t size)
{
    if (answer->status == 101)
        return malformed("the answer changes the protocol");
    if (++answer->interim > INTERIM_MAX)
        return malformed("there are too many interim answers");
    drop(answer, size);
    answer->status = 0;
    answer->has_length = answer->is_chunked = false;
    answer->left = 0;
    answer->date = answer->request_id = answer->error_type = (struct str){ 0, 0 };
    answer->retry_after_s = 0;
    return OK;
}

static struct err read_head(struct answer *answer)
{
    while (answer->state == ANSWER_HEAD) {
        const struct str in = { answer->in, answer->received };
        const size_t size = wire_head_size(in, answer->searched);
        answer->searched = in.len;
        if (size == 0)
            return in.len == ANSWER_ROOM ? failed(ERR_TOO_LARGE, "the answer's head is too long") : OK;
        if (!read_lines(answer, (struct str){ in.at, size }))
            return malformed("the answer is not HTTP/1.1, or a line of its head is malformed");
        if (answer->status < 200) {
            TRY(pass_over(answer, size));
        } else {
            TRY(begin_body(answer));
            drop(answer, size);
        }
    }
    return OK;
}

/* --- the body ---------------------------------------------------------------------------------------------------- */

static struct err add(struct answer *answer, struct str piece)
{
    buf_add(&answer->body, piece);
    return answer->body.overflowed ? too_long : OK;
}

static struct err read_body(struct answer *answer)
{
    const size_t here = answer->received < answer->left ? answer->received : answer->left;
    TRY(add(answer, (struct str){ answer->in, here }));
    drop(answer, here);
    answer->left -= here;
    if (answer->left == 0)
        answer->state = ANSWER_WHOLE;
    return OK;
}

static struct err read_chunks(struct answer *answer)
{
    struct str in = { answer->in, answer->received };
    for (size_t before = in.len + 1; in.len < before && answer->chunks.state != CHUNK_END;) {
        struct str piece;
        before = in.len;
        TRY(chunks_read(&answer->chunks, &in, &piece));
        TRY(add(answer, piece));
    }
    drop(answer, answer->received - in.len);
    if (answer->chunks.state == CHUNK_END)
        answer->state = ANSWER_WHOLE;
    return OK;
}

static struct err read_on(struct answer *answer)
{
    switch (answer->state) {
    case ANSWER_BODY:
        return read_body(answer);
    case ANSWER_CHUNKS:
        return read_chunks(answer);
    case ANSWER_TO_END:
        TRY(add(answer, (struct str){ answer->in, answer->received }));
        drop(answer, answer->received);
        return OK;
    case ANSWER_HEAD:
    case ANSWER_WHOLE:
        break;
    }
    return OK;
}

struct err answer_received(struct answer *answer, size_t count)
{
    answer->received += count;
    if (answer->received > answer->touched)
        answer->touched = answer->received;
    answer->has_begun = answer->has_begun || count > 0;
    if (answer->state == ANSWER_HEAD)
        TRY(read_head(answer));
    TRY(read_on(answer));
    if (answer->state == ANSWER_WHOLE && answer->received > 0)
        answer->keeps_connection = false; /* nobody asked for what came behind it */
    return OK;
}

struct err answer_ended(struct answer *answer)
{
    answer->keeps_connection = false;
    if (answer->state == ANSWER_TO_END)
        answer->state = ANSWER_WHOLE;
    return answer->state == ANSWER_WHOLE ? OK : malformed("the connection ended before the answer");
}
