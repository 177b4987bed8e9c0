// Command external-dns runs one round of ExternalDNS' control loop, with its flags, its RFC 2136 provider and its TXT
// registry. The source alone is ours: the desired endpoints come from standard input as JSON, not from Kubernetes.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"sigs.k8s.io/external-dns/endpoint"
	"sigs.k8s.io/external-dns/pkg/apis/externaldns"
	"sigs.k8s.io/external-dns/plan"
	"sigs.k8s.io/external-dns/provider/rfc2136"
	"sigs.k8s.io/external-dns/registry/txt"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	cfg := externaldns.NewConfig()
	if err := cfg.ParseFlags(os.Args[1:]); err != nil {
		return err
	}
	var desired []*endpoint.Endpoint
	if err := json.NewDecoder(os.Stdin).Decode(&desired); err != nil {
		return err
	}
	filter := endpoint.NewDomainFilter(cfg.DomainFilter)
	provider, err := rfc2136.New(ctx, cfg, filter)
	if err != nil {
		return err
	}
	registry, err := txt.New(cfg, provider)
	if err != nil {
		return err
	}
	current, err := registry.Records(ctx)
	if err != nil {
		return err
	}
	if desired, err = registry.AdjustEndpoints(desired); err != nil {
		return err
	}
	changes := (&plan.Plan{
		Policies:       []plan.Policy{plan.Policies[cfg.Policy]},
		Current:        current,
		Desired:        desired,
		DomainFilter:   endpoint.MatchAllDomainFilters{filter, registry.GetDomainFilter()},
		ManagedRecords: cfg.ManagedDNSRecordTypes,
		OwnerID:        registry.OwnerID(),
	}).Calculate().Changes
	fmt.Printf("create %d, update %d, delete %d\n", len(changes.Create), len(changes.UpdateNew), len(changes.Delete))
	if !changes.HasChanges() {
		return nil
	}
	return registry.ApplyChanges(ctx, changes)
}
