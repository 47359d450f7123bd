import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerExtensionsValidatorCallback;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerValidatorCallback;

/**
 * Stands in for MSK's own check: a token is the base64 of a signed URL, no JWT. It takes the access key of the test,
 * for the region of the test, and gives the session a few seconds (system properties). Signatures are AWS's business.
 */
public class AwsTokenValidator implements AuthenticateCallbackHandler {
  private static final Pattern CREDENTIAL = Pattern.compile("X-Amz-Credential=([^%&]+)%2F\\d+%2F([^%&]+)%2Fkafka-cluster");

  @Override
  public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {}

  @Override
  public void handle(Callback[] callbacks) throws UnsupportedCallbackException {
    for (Callback callback : callbacks) {
      if (callback instanceof OAuthBearerValidatorCallback) {
        validate((OAuthBearerValidatorCallback) callback);
      } else if (!(callback instanceof OAuthBearerExtensionsValidatorCallback)) {
        throw new UnsupportedCallbackException(callback);
      }
    }
  }

  private static void validate(OAuthBearerValidatorCallback callback) {
    String url;
    try {
      url = new String(Base64.getUrlDecoder().decode(callback.tokenValue()), StandardCharsets.UTF_8);
    } catch (IllegalArgumentException e) {
      callback.error("invalid_token", null, null);
      return;
    }
    Matcher credential = CREDENTIAL.matcher(url);
    boolean isRight = credential.find()
        && credential.group(1).equals(System.getProperty("test.aws.key"))
        && credential.group(2).equals(System.getProperty("test.aws.region"))
        && URI.create(url).getHost().equals("kafka." + credential.group(2) + ".amazonaws.com")
        && url.contains("Action=kafka-cluster%3AConnect");
    if (!isRight) {
      callback.error("invalid_token", "kafka-cluster:Connect", null);
      return;
    }
    long now = System.currentTimeMillis();
    String value = callback.tokenValue();
    callback.token(new OAuthBearerToken() {
      @Override public String value() { return value; }
      @Override public Set<String> scope() { return Set.of(); }
      @Override public long lifetimeMs() { return now + Long.getLong("test.aws.session.ms"); }
      @Override public String principalName() { return credential.group(1); }
      @Override public Long startTimeMs() { return now; }
    });
  }

  @Override
  public void close() {}
}
