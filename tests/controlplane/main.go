// Command controlplane is a Kubernetes control plane without nodes, for tests: the programs etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler in one file, so that tests need no downloaded release. The first argument
// names the program, and the others are its own:
//
//	controlplane kube-apiserver --etcd-servers=http://127.0.0.1:2379 …
package main

import (
	"fmt"
	"os"
	"path/filepath"
	_ "time/tzdata"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	file := filepath.Base(os.Args[0])
	os.Args = os.Args[1:]
	program := ""
	if len(os.Args) > 0 {
		program = os.Args[0]
	}
	switch program {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllers.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	default:
		fmt.Fprintf(os.Stderr, "usage: %s etcd|kube-apiserver|kube-controller-manager|kube-scheduler ARGUMENT…\n", file)
		os.Exit(2)
	}
}
