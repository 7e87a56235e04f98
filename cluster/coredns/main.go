// CoreDNS with the plugins that the cluster's Corefile names. All of them would bring the libraries of three clouds along, which take
// minutes to compile. Built by ../programs.sh in the module that it writes.
package main

import (
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
)

func main() { coremain.Run() }
