/* test_postgres_cause.c: libpq's words (versions 15 and 17), as it says them, and what is made of them; and which
 * parameter of a URL may be named. */
#include "store/postgres_cause.h"
#include "unit.h"

static void words_are_understood_and_none_is_passed_on(void **state)
{
#define AT "connection to server at \"db.example\" (192.0.2.1), port 5432 failed: "
    static const struct {
        const char *says, *part;
    } rows[] = {
        { AT "FATAL:  password authentication failed for user \"x\"\n", "user or its password" },
        { AT "FATAL:  SASL authentication failed\n", "user or its password" },
        { AT "fe_sendauth: no password supplied\n", "wants a password" },
        { AT "FATAL:  database \"secret\" does not exist\n", "no database of that name" },
        { AT "FATAL:  no such database: secret\n", "no database of that name" },
        { AT "FATAL:  role \"secret\" does not exist\n", "no such user" },
        { AT "FATAL:  no pg_hba.conf entry for host \"192.0.2.7\", user \"u\", database \"d\", no encryption\n",
          "pg_hba.conf" },
        { AT "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
          "nothing listens" },
        { AT "timeout expired\n", "in time" },
        { AT "Network is unreachable\n", "no route" },
        { AT "No route to host\n", "no route" },
        { AT "server does not support SSL, but SSL was required\n", "does not speak TLS" },
        { AT "SSL error: certificate verify failed\n", "not trusted" },
        { AT "server certificate for \"a\" does not match host name \"b\"\n", "for another host" },
        { AT "root certificate file \"/x\" does not exist\n", "sslrootcert" },
        { AT "SSL error: wrong version number\n", "TLS with it failed" },
        { AT "FATAL:  sorry, too many clients already\n", "too many" },
        { AT "FATAL:  the database system is starting up\n", "starting" },
        { AT "server closed the connection unexpectedly\n", "closed" },
        { "could not translate host name \"h\" to address: Name or service not known\n", "name of its host" },
        { "in another language: secret", "the log" },
        { "", "the log" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *cause = postgres_cause(rows[i].says);
        assert_row(strstr(cause, rows[i].part) != NULL, rows[i].says);
        assert_row(strstr(cause, "secret") == NULL, rows[i].says);
    }
}

static bool is_sslmode(const void *arg, const char *name)
{
    return arg == NULL && strcmp(name, "sslmode") == 0;
}

static void a_parameter_is_named_unless_it_may_be_of_a_password(void **state)
{
    static const struct {
        const char *url, *named;
    } rows[] = {
        { "postgresql://u:p@h/d?pgbouncer=true", "pgbouncer" },
        { "postgresql://u:p@h/d?sslmode=require&connection_limit=1", "connection_limit" },
        { "postgresql://u:p@h/d?sslmode=require", "" },
        { "postgresql://u:p@h/d", "" },
        { "postgresql://u:p@h/d?", "" },
        { "postgresql://u:p@h/d?&", "" },
        { "postgresql://u:p@h/d?nothing", "" },
        { "postgresql://u:p?secret=x@h/d", "" },   /* a password with a ? in it */
        { "postgresql://u:p@x?secret=x@h/d", "" }, /* and with an @ */
        { "postgresql://u:p@h/d?Secret=1", "" },   /* none of libpq's has capitals */
        { "postgresql://u:p@h/d?aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeee=1", "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_row(strcmp(postgres_unknown_parameter(rows[i].url, is_sslmode, NULL), rows[i].named) == 0, rows[i].url);
}

RUN(cmocka_unit_test(words_are_understood_and_none_is_passed_on),
    cmocka_unit_test(a_parameter_is_named_unless_it_may_be_of_a_password))
