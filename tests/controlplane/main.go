// Command controlplane is a Kubernetes control plane without nodes, for tests, and kubectl: the programs etcd,
// kube-apiserver, kube-controller-manager, kube-scheduler and kubectl in one file, so that tests need no downloaded
// release. The first argument names the program, and the others are its own:
//
//	controlplane kube-apiserver --etcd-servers=http://127.0.0.1:2379 …
//
// Through a link that has the name kubectl, it is kubectl.
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
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	file := filepath.Base(os.Args[0])
	if file != "kubectl" {
		os.Args = os.Args[1:]
	}
	program := ""
	if len(os.Args) > 0 {
		program = filepath.Base(os.Args[0])
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
	case "kubectl":
		os.Exit(cli.Run(kubectl.NewDefaultKubectlCommand()))
	default:
		programs := "etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubectl"
		fmt.Fprintf(os.Stderr, "usage: %s %s ARGUMENT…\n", file, programs)
		os.Exit(2)
	}
}
