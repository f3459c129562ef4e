// A verifier in Java as people write them: nimbus-jose-jwt checks the signature, Jackson makes an object of the claims,
// without looking at the case of their names. Input and output are those of go-reader/main.go; beside "claims", which
// Jackson read, there are "nimbus", the claims as that library has them.
import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.nimbusds.jose.crypto.RSASSAVerifier;
import com.nimbusds.jose.jwk.RSAKey;
import com.nimbusds.jwt.SignedJWT;
import java.util.List;

public class Reader {
    @JsonIgnoreProperties(ignoreUnknown = true)
    @JsonInclude(JsonInclude.Include.NON_NULL)
    public static class Claims {
        @JsonProperty public String iss, sub, jti, scope, azp, nonce, sid, role, acr, email;
        @JsonProperty public List<String> aud, groups;
        @JsonProperty public Long exp, iat, nbf;
        @JsonProperty("client_id") public String clientId;
        @JsonProperty("token_type") public String tokenType;
        @JsonProperty("auth_time") public Long authTime;
        @JsonProperty("parent_hash") public String parentHash;
        @JsonProperty("parent_client_id") public String parentClientId;
        @JsonProperty("parent_iat") public Long parentIat;
        @JsonProperty public JsonNode act, cnf;
    }

    private static final ObjectMapper mapper = JsonMapper.builder()
        .enable(MapperFeature.ACCEPT_CASE_INSENSITIVE_PROPERTIES)
        .enable(DeserializationFeature.ACCEPT_SINGLE_VALUE_AS_ARRAY)
        .build();

    private static ObjectNode read(String text, RSASSAVerifier verifier) throws Exception {
        ObjectNode outcome = mapper.createObjectNode();
        SignedJWT token = SignedJWT.parse(text);
        boolean good = token.verify(verifier);
        outcome.put("ok", good);
        if (good) {
            outcome.set("claims", mapper.valueToTree(mapper.readValue(token.getPayload().toString(), Claims.class)));
            outcome.set("nimbus", mapper.readTree(token.getJWTClaimsSet().toString()));
        }
        return outcome;
    }

    public static void main(String[] arguments) throws Exception {
        JsonNode input = mapper.readTree(System.in);
        RSASSAVerifier verifier = new RSASSAVerifier(RSAKey.parse(input.get("jwk").toString()));
        ArrayNode outcomes = mapper.createArrayNode();
        for (JsonNode token : input.get("tokens"))
            outcomes.add(read(token.asText(), verifier));
        mapper.writeValue(System.out, outcomes);
    }
}
