// Command cert-manager goes the way of cert-manager's controller with a DNS-01 challenge: it looks for the name and the
// zone of the challenge's record, has the RFC 2136 solver present it, checks that it is served, and cleans up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"

	"github.com/cert-manager/cert-manager/pkg/issuer/acme/dns/rfc2136"
	"github.com/cert-manager/cert-manager/pkg/issuer/acme/dns/util"
)

var (
	nameserver = flag.String("nameserver", "", "address and port of the server")
	domain     = flag.String("domain", "", "what the certificate is for")
	network    = flag.String("protocol", "", "udp or tcp; the solver's default if empty")
	key        = flag.String("tsig-key-name", "", "name of the key")
	algorithm  = flag.String("tsig-algorithm", "", "algorithm of the key; the solver's default if empty")
	secret     = flag.String("tsig-secret", "", "secret of the key, in base64")
)

func main() {
	flag.Parse()
	log.SetFlags(0)
	if err := solve(context.Background(), "a-token-that-the-certificate-authority-has-given"); err != nil {
		log.Fatal(err)
	}
}

func solve(ctx context.Context, token string) error {
	nameservers := []string{*nameserver}
	fqdn, err := util.DNS01LookupFQDN(ctx, *domain, true, nameservers...)
	if err != nil {
		return err
	}
	zone, err := util.FindZoneByFqdn(ctx, fqdn, nameservers)
	if err != nil {
		return err
	}
	fmt.Printf("the record %s belongs to the zone %s\n", fqdn, zone)
	solver, err := rfc2136.NewDNSProviderCredentials(*nameserver, *algorithm, *key, *secret, rfc2136.WithNetwork(*network))
	if err != nil {
		return err
	}
	if err := solver.Present(*domain, fqdn, zone, token); err != nil {
		return err
	}
	served, err := util.PreCheckDNS(ctx, fqdn, token, nameservers, false)
	if err != nil {
		return err
	}
	if !served {
		return errors.New("the record is not served")
	}
	fmt.Println("the record is served")
	return solver.CleanUp(*domain, fqdn, zone, token)
}
