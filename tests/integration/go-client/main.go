// An OpenID Connect client in Go: golang.org/x/oauth2 with coreos/go-oidc, for test_client_go.py. Each line of standard
// input is a job, each line of standard output its outcome: {"ok": true, …} or {"ok": false, "error": …}.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"os"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

type job struct {
	Job         string   `json:"job"`
	Issuer      string   `json:"issuer"`
	ClientID    string   `json:"client_id"`
	Secret      string   `json:"secret"`
	RedirectURI string   `json:"redirect_uri"`
	Scopes      []string `json:"scopes"`
	URL         string   `json:"url"`
	Token       string   `json:"token"`
}

type outcome map[string]any

// What one login needs to remember, and what came of it.
type client struct {
	provider               *oidc.Provider
	config                 oauth2.Config
	issuer                 string
	state, nonce, verifier string
	token                  *oauth2.Token
}

func random() string {
	bytes := make([]byte, 32)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(bytes)
}

func (c *client) discover(ctx context.Context, in job) (outcome, error) {
	provider, err := oidc.NewProvider(ctx, in.Issuer)
	if err != nil {
		return nil, err
	}
	*c = client{provider: provider, issuer: in.Issuer, config: oauth2.Config{ClientID: in.ClientID,
		ClientSecret: in.Secret, Endpoint: provider.Endpoint(), RedirectURL: in.RedirectURI, Scopes: in.Scopes}}
	return outcome{}, nil
}

func (c *client) begin(context.Context, job) (outcome, error) {
	c.state, c.nonce, c.verifier = random(), random(), oauth2.GenerateVerifier()
	return outcome{"url": c.config.AuthCodeURL(c.state, oidc.Nonce(c.nonce), oauth2.S256ChallengeOption(c.verifier))}, nil
}

func (c *client) finish(ctx context.Context, in job) (outcome, error) {
	came, err := url.Parse(in.URL)
	if err != nil {
		return nil, err
	}
	query := came.Query()
	if query.Get("state") != c.state {
		return nil, errors.New("the state is not its own")
	}
	if query.Has("error") {
		return nil, errors.New(query.Get("error"))
	}
	if c.token, err = c.config.Exchange(ctx, query.Get("code"), oauth2.VerifierOption(c.verifier)); err != nil {
		return nil, err
	}
	return c.verify(ctx)
}

// The id token beside c.token: signature, issuer, audience, expiry by the library; at_hash and nonce as it advises.
func (c *client) verify(ctx context.Context) (outcome, error) {
	text, ok := c.token.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("there is no id token")
	}
	id, err := c.provider.VerifierContext(ctx, &oidc.Config{ClientID: c.config.ClientID}).Verify(ctx, text)
	if err != nil {
		return nil, err
	}
	if err := id.VerifyAccessToken(c.token.AccessToken); err != nil {
		return nil, err
	}
	if id.Nonce != "" && id.Nonce != c.nonce {
		return nil, errors.New("the nonce is not its own")
	}
	var claims map[string]any
	err = id.Claims(&claims)
	return outcome{"claims": claims, "tokens": outcome{"access_token": c.token.AccessToken,
		"refresh_token": c.token.RefreshToken, "id_token": text}}, err
}

func (c *client) userinfo(ctx context.Context, _ job) (outcome, error) {
	info, err := c.provider.UserInfo(ctx, oauth2.StaticTokenSource(c.token))
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	err = info.Claims(&claims)
	return outcome{"userinfo": claims, "email_verified": info.EmailVerified}, err
}

// By a token source, which refreshes when it has no token that is good.
func (c *client) refresh(ctx context.Context, in job) (outcome, error) {
	token, err := c.config.TokenSource(ctx, &oauth2.Token{RefreshToken: in.Token}).Token()
	if err != nil {
		return nil, err
	}
	c.token = token
	return c.verify(ctx)
}

func (c *client) credentials(ctx context.Context, in job) (outcome, error) {
	config := clientcredentials.Config{ClientID: in.ClientID, ClientSecret: in.Secret,
		TokenURL: c.provider.Endpoint().TokenURL, Scopes: in.Scopes}
	token, err := config.Token(ctx)
	if err != nil {
		return nil, err
	}
	return outcome{"tokens": outcome{"access_token": token.AccessToken, "type": token.Type(),
		"expires": !token.Expiry.IsZero()}}, nil
}

// A logout token, by the same verifier (Back-Channel Logout section 2.6).
func (c *client) logout(ctx context.Context, in job) (outcome, error) {
	id, err := c.provider.VerifierContext(ctx, &oidc.Config{ClientID: c.config.ClientID}).Verify(ctx, in.Token)
	if err != nil {
		return nil, err
	}
	var claims map[string]any
	err = id.Claims(&claims)
	return outcome{"claims": claims}, err
}

// RFC 6749's code, where the library has it.
func nameOf(err error) string {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) && answer.ErrorCode != "" {
		return answer.ErrorCode
	}
	return err.Error()
}

func main() {
	var c client
	jobs := map[string]func(context.Context, job) (outcome, error){"discover": c.discover, "begin": c.begin,
		"finish": c.finish, "userinfo": c.userinfo, "refresh": c.refresh, "client_credentials": c.credentials,
		"logout": c.logout}
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var in job
		if err := json.Unmarshal(lines.Bytes(), &in); err != nil {
			panic(err)
		}
		said, err := jobs[in.Job](context.Background(), in)
		if err != nil {
			said = outcome{"error": nameOf(err)}
		}
		said["ok"] = err == nil
		if err := out.Encode(said); err != nil {
			panic(err)
		}
	}
}
