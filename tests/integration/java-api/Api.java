// An API in Java over Spring Boot and Spring Security's resource server, for test_client_spring.py: it is told the
// issuer's URL and its own name, as properties, and nothing else. The first line of standard output is its port; it
// ends when standard input does.
package api;

import java.util.Map;
import org.springframework.boot.Banner;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.security.oauth2.resource.servlet.JwkSetUriJwtDecoderBuilderCustomizer;
import org.springframework.boot.builder.SpringApplicationBuilder;
import org.springframework.boot.web.servlet.context.ServletWebServerApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtTypeValidator;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class Api {
    @Bean
    SecurityFilterChain chain(HttpSecurity http) throws Exception {
        return http.authorizeHttpRequests(requests -> requests
                        .requestMatchers("/write").hasAuthority("SCOPE_stories:write")
                        .anyRequest().authenticated())
                .oauth2ResourceServer(server -> server.jwt(jwt -> {}))
                .build();
    }

    // Until it is told otherwise, Spring Security takes only the type JWT. RFC 9068 section 4 wants at+jwt and no
    // other, and these two are Spring's own way to say so.
    @Bean
    JwkSetUriJwtDecoderBuilderCustomizer anyType() {
        return builder -> builder.validateType(false);
    }

    @Bean
    JwtTypeValidator accessTokens() {
        JwtTypeValidator validator = new JwtTypeValidator("at+jwt");
        validator.setAllowEmpty(false);
        return validator;
    }

    @GetMapping("/")
    Map<String, Object> show(@AuthenticationPrincipal Jwt token) {
        return token.getClaims();
    }

    @GetMapping("/write")
    Map<String, Object> write() {
        return Map.of("ok", true);
    }

    public static void main(String[] arguments) throws Exception {
        String prefix = "--spring.security.oauth2.resourceserver.jwt.";
        var context = new SpringApplicationBuilder(Api.class).bannerMode(Banner.Mode.OFF).run(
                "--server.address=127.0.0.1", "--server.port=0", "--logging.level.root=off",
                "--spring.main.lazy-initialization=true", // a fast start
                prefix + "issuer-uri=" + arguments[0], prefix + "audiences=" + arguments[1]);
        System.out.println(((ServletWebServerApplicationContext) context).getWebServer().getPort());
        while (System.in.read() >= 0) { }
        System.exit(0);
    }
}
