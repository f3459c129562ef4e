/* oauth/client_assertions.h: private_key_jwt, as the service's authentication calls it (service/service.h). */
#ifndef OAUTH_CLIENT_ASSERTIONS_H
#define OAUTH_CLIENT_ASSERTIONS_H

struct client_assertions;

extern const struct client_assertions oauth_client_assertions;

#endif
