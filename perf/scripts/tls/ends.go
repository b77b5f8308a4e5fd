// What ends.py does, with Go's TLS: a teller sends a file, ends its stream, and only then hears the answer; a gatherer hears a
// stream to its end, and only then answers with its length and SHA-256. Both say which group was agreed on.
//
// ends gather PORT CERTIFICATE KEY
// ends tell HOST PORT FILE AUTHORITY NAME VERSION
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func answer(connection *tls.Conn) error {
	defer connection.Close()
	digest := sha256.New()
	octets, err := io.Copy(digest, connection)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(connection, "%d %x\n", octets, digest.Sum(nil))
	return err
}

func gather(port, certificate, key string) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	must(err)
	listener, err := tls.Listen("tcp", ":"+port, &tls.Config{Certificates: []tls.Certificate{pair}})
	must(err)
	fmt.Println("listening")
	for {
		connection, err := listener.Accept()
		must(err)
		secure := connection.(*tls.Conn)
		if err := answer(secure); err != nil {
			fmt.Println("failed", err)
		} else {
			fmt.Println("answered by", secure.ConnectionState().CurveID)
		}
	}
}

func tell(host, port, file, authority, name, version string) {
	root, err := os.ReadFile(authority)
	must(err)
	anchors := x509.NewCertPool()
	if !anchors.AppendCertsFromPEM(root) {
		log.Fatal("no anchor in ", authority)
	}
	only := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[version]
	config := &tls.Config{RootCAs: anchors, ServerName: name, MinVersion: only, MaxVersion: only}
	connection, err := tls.Dial("tcp", net.JoinHostPort(host, port), config)
	must(err)
	octets, err := os.ReadFile(file)
	must(err)
	_, err = connection.Write(octets)
	must(err)
	must(connection.CloseWrite())
	heard, err := io.ReadAll(connection)
	must(err)
	fmt.Printf("%s%s\n", heard, connection.ConnectionState().CurveID)
}

func main() {
	words := os.Args[2:]
	if os.Args[1] == "gather" {
		gather(words[0], words[1], words[2])
	} else {
		tell(words[0], words[1], words[2], words[3], words[4], words[5])
	}
}
