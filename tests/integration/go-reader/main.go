// A verifier in Go as people write them: golang-jwt, with the claims in a struct of plain tags. On standard input a
// JSON object {"jwk": an RSA key, "tokens": […]}; on standard output a list, what it reads of each: {"ok": true,
// "claims": {…}} or {"ok": false, "why": …}. Members that a token lacks are left out.
package main

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"os"

	"github.com/golang-jwt/jwt/v5"
)

// RegisteredClaims are iss, sub, aud, exp, nbf, iat, jti.
type claims struct {
	jwt.RegisteredClaims
	Scope          string   `json:"scope,omitempty"`
	ClientID       string   `json:"client_id,omitempty"`
	TokenType      string   `json:"token_type,omitempty"`
	Azp            string   `json:"azp,omitempty"`
	Nonce          string   `json:"nonce,omitempty"`
	AuthTime       int64    `json:"auth_time,omitempty"`
	ParentHash     string   `json:"parent_hash,omitempty"`
	ParentClientID string   `json:"parent_client_id,omitempty"`
	ParentIat      int64    `json:"parent_iat,omitempty"`
	Sid            string   `json:"sid,omitempty"`
	Role           string   `json:"role,omitempty"`
	Acr            string   `json:"acr,omitempty"`
	Email          string   `json:"email,omitempty"`
	Groups         []string `json:"groups,omitempty"`
	Act            any      `json:"act,omitempty"`
	Cnf            any      `json:"cnf,omitempty"`
}

type outcome struct {
	OK     bool    `json:"ok"`
	Claims *claims `json:"claims,omitempty"`
	Why    string  `json:"why,omitempty"`
}

func number(text string) *big.Int {
	bytes, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return new(big.Int).SetBytes(bytes)
}

func read(token string, key *rsa.PublicKey) outcome {
	var found claims
	_, err := jwt.ParseWithClaims(token, &found, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	if err != nil {
		return outcome{Why: err.Error()}
	}
	return outcome{OK: true, Claims: &found}
}

func main() {
	var input struct {
		JWK struct {
			N string `json:"n"`
			E string `json:"e"`
		} `json:"jwk"`
		Tokens []string `json:"tokens"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&input); err != nil {
		panic(err)
	}
	key := &rsa.PublicKey{N: number(input.JWK.N), E: int(number(input.JWK.E).Int64())}
	outcomes := []outcome{}
	for _, token := range input.Tokens {
		outcomes = append(outcomes, read(token, key))
	}
	if err := json.NewEncoder(os.Stdout).Encode(outcomes); err != nil {
		panic(err)
	}
}
