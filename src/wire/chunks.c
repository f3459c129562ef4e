/* wire/chunks.c: a small state machine; a line is looked at only when it is whole. */
#include "wire/chunks.h"
#include "base/hex.h"
#include "wire/lines.h"

enum { LINE_MAX_BYTES = 256, TRAILERS_MAX = 2048, SIZE_DIGITS_MAX = 8 };

static const struct err malformed = { ERR_INVALID_REQUEST, "the chunked body is malformed" };

/* A whole line without its CR LF. *line.at is NULL when it is not all there yet. */
static struct err chunks_take_line(struct str *in, struct str *line)
{
    const char *end = in->len ? memchr(in->at, '\n', in->len) : NULL;
    size_t len = end ? (size_t)(end - in->at) : in->len;
    *line = (struct str){ 0 };
    if (len > LINE_MAX_BYTES)
        return malformed;
    if (!end)
        return OK;
    if (len == 0 || end[-1] != '\r')
        return malformed;
    *line = (struct str){ in->at, len - 1 };
    *in = (struct str){ end + 1, in->len - len - 1 };
    return OK;
}

/* chunk-size [ chunk-ext ]; extensions are ignored (section 7.1.1). */
static struct err chunks_read_size(struct str line, size_t *out)
{
    size_t size = 0, digits = 0;
    while (digits < line.len && hex_digit(line.at[digits]) >= 0) {
        size = size * 16 + (size_t)hex_digit(line.at[digits]);
        if (++digits > SIZE_DIGITS_MAX)
            return malformed;
    }
    if (digits == 0 || (digits < line.len && line.at[digits] != ';'))
        return malformed;
    for (size_t i = digits; i < line.len; i++)
        if ((unsigned char)line.at[i] < ' ' || line.at[i] == 0x7f)
            return malformed;
    *out = size;
    return OK;
}

static struct err chunks_read_trailer(struct chunks *chunks, struct str line)
{
    struct str name, value;
    chunks->trailers += line.len + 2;
    if (line.len == 0)
        chunks->state = CHUNK_END;
    else if (!wire_read_header(line, &name, &value) || chunks->trailers > TRAILERS_MAX)
        return malformed;
    return OK;
}

static struct err chunks_read_line(struct chunks *chunks, struct str line)
{
    switch (chunks->state) {
    case CHUNK_SIZE:
        TRY(chunks_read_size(line, &chunks->left));
        chunks->state = chunks->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
        return OK;
    case CHUNK_DATA_END:
        chunks->state = CHUNK_SIZE;
        return line.len == 0 ? OK : malformed;
    case CHUNK_TRAILER:
        return chunks_read_trailer(chunks, line);
    case CHUNK_DATA:
    case CHUNK_END:
        break;
    }
    return OK;
}

struct err chunks_read(struct chunks *chunks, struct str *in, struct str *piece)
{
    *piece = (struct str){ 0 };
    while (chunks->state != CHUNK_END && in->len > 0) {
        struct str line;
        if (chunks->state == CHUNK_DATA) {
            *piece = (struct str){ in->at, in->len < chunks->left ? in->len : chunks->left };
            *in = (struct str){ in->at + piece->len, in->len - piece->len };
            chunks->left -= piece->len;
            if (chunks->left == 0)
                chunks->state = CHUNK_DATA_END;
            return OK;
        }
        TRY(chunks_take_line(in, &line));
        if (!line.at)
            return OK;
        TRY(chunks_read_line(chunks, line));
    }
    return OK;
}
