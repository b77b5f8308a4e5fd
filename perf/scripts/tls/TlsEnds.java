// What ends.py does, with Java's TLS: a teller sends a file, ends its stream, and only then hears the answer; a gatherer hears a
// stream to its end, and only then answers with its length and SHA-256.
//
// java TlsEnds.java gather PORT KEYSTORE PASSWORD
// java TlsEnds.java tell HOST PORT FILE AUTHORITY NAME VERSION

import java.io.FileInputStream;
import java.io.InputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.CertificateFactory;
import java.util.HexFormat;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class TlsEnds {
    static void gather(int port, String keystore, String password) throws Exception {
        KeyStore keys = KeyStore.getInstance("PKCS12");
        keys.load(new FileInputStream(keystore), password.toCharArray());
        KeyManagerFactory managers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        managers.init(keys, password.toCharArray());
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), null, null);
        SSLServerSocket listener = (SSLServerSocket) context.getServerSocketFactory().createServerSocket(port);
        System.out.println("listening");
        while (true) {
            try (Socket connection = listener.accept()) {
                MessageDigest digest = MessageDigest.getInstance("SHA-256");
                byte[] room = new byte[65536];
                long octets = 0;
                InputStream in = connection.getInputStream();
                for (int count = in.read(room); count >= 0; count = in.read(room)) {
                    digest.update(room, 0, count);
                    octets += count;
                }
                String answer = octets + " " + HexFormat.of().formatHex(digest.digest()) + "\n";
                connection.getOutputStream().write(answer.getBytes(StandardCharsets.US_ASCII));
                System.out.println("answered " + octets);
            } catch (Exception error) {
                System.out.println("failed " + error);
            }
        }
    }

    static void tell(String host, int port, Path file, String authority, String name, String version) throws Exception {
        KeyStore anchors = KeyStore.getInstance(KeyStore.getDefaultType());
        anchors.load(null, null);
        try (InputStream in = new FileInputStream(authority)) {
            anchors.setCertificateEntry("root", CertificateFactory.getInstance("X.509").generateCertificate(in));
        }
        TrustManagerFactory managers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        managers.init(anchors);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, managers.getTrustManagers(), null);
        Socket beneath = new Socket(host, port);
        try (SSLSocket connection = (SSLSocket) context.getSocketFactory().createSocket(beneath, name, port, true)) {
            SSLParameters parameters = connection.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            parameters.setProtocols(new String[] {version});
            connection.setSSLParameters(parameters);
            connection.getOutputStream().write(Files.readAllBytes(file));
            connection.shutdownOutput();
            System.out.print(new String(connection.getInputStream().readAllBytes(), StandardCharsets.US_ASCII));
        }
    }

    public static void main(String[] words) throws Exception {
        if (words[0].equals("gather")) {
            gather(Integer.parseInt(words[1]), words[2], words[3]);
        } else {
            tell(words[1], Integer.parseInt(words[2]), Path.of(words[3]), words[4], words[5], words[6]);
        }
    }
}
