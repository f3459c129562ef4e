/* store/libpq.h: libpq, loaded when a connection to PostgreSQL is first wanted. Linked, it would cost every start of
 * the embedded default, which never calls it, some milliseconds (it brings Kerberos and LDAP). So its functions are
 * called through this table. Only for store/postgres.c and store/migration.c. */
#ifndef STORE_LIBPQ_H
#define STORE_LIBPQ_H

#include "base/err.h"
#include <libpq-fe.h>

/* Each is libpq's function of that name, after PQ; see its manual. */
struct libpq_calls {
    PGconn *(*connectdbParams)(const char *const *, const char *const *, int);
    PQconninfoOption *(*conninfoParse)(const char *, char **);
    void (*conninfoFree)(PQconninfoOption *);
    void (*finish)(PGconn *);
    ConnStatusType (*status)(const PGconn *);
    PGTransactionStatusType (*transactionStatus)(const PGconn *);
    char *(*errorMessage)(const PGconn *);
    char *(*pass)(const PGconn *);
    char *(*host)(const PGconn *);
    char *(*port)(const PGconn *);
    char *(*hostaddr)(const PGconn *);
    int (*sslInUse)(PGconn *);
    int (*socket)(const PGconn *);
    int (*setnonblocking)(PGconn *, int);
    PQnoticeReceiver (*setNoticeReceiver)(PGconn *, PQnoticeReceiver, void *);
    int (*sendQueryParams)(PGconn *, const char *, int, const Oid *, const char *const *, const int *, const int *,
                           int);
    int (*flush)(PGconn *);
    int (*consumeInput)(PGconn *);
    int (*isBusy)(PGconn *);
    PGresult *(*getResult)(PGconn *);
    PGresult *(*exec)(PGconn *, const char *);
    ExecStatusType (*resultStatus)(const PGresult *);
    char *(*resultErrorField)(const PGresult *, int);
    int (*ntuples)(const PGresult *);
    char *(*getvalue)(const PGresult *, int, int);
    int (*getlength)(const PGresult *, int, int);
    void (*clear)(PGresult *);
};

/* Loads it, once in a process; *out is static. ERR_UNAVAILABLE when it is not installed. */
MUST_USE struct err libpq_load(const struct libpq_calls **out);

#endif
