// Go's reader of the tests' tokens: golang-jwt and encoding/json, as most verifiers in Go are written.
module go-reader-for-the-tests

go 1.18

require github.com/golang-jwt/jwt/v5 v5.2.2
