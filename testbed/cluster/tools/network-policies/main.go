// Command network-policies enforces the NetworkPolicies of a cluster with one node.
//
// The policy engine of sigs.k8s.io/kube-network-policies decides about the first packet of each connection that is
// forwarded to or from a pod. The program of that module passes packets to the engine with the nftables expression
// "queue" (kernel option NFT_QUEUE). This one uses the iptables target NFQUEUE, because more kernels have it, and adds
// a health check. Connections that the node opens itself, such as probes of the kubelet, are not forwarded and
// therefore always accepted, as Kubernetes requires.
//
// While it does not run, new connections between pods are dropped.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	nfqueue "github.com/florianl/go-nfqueue/v2"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	"sigs.k8s.io/kube-network-policies/pkg/podinfo"
)

const queue = 100

// The chain FORWARD of the table mangle is unused otherwise: DNAT by kube-proxy has happened, SNAT has not.
var rules = fmt.Sprintf(`*mangle
-F FORWARD
-A FORWARD -m conntrack --ctstate NEW -j NFQUEUE --queue-num %d
COMMIT
`, queue)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "path of the kubeconfig")
	node := flag.String("hostname-override", "", "name of the node")
	health := flag.String("health-bind-address", "127.0.0.1:10260", "address of GET /healthz")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	engine, err := newEngine(ctx, *kubeconfig, *node)
	if err != nil {
		klog.Fatalf("cannot read pods and policies: %v", err)
	}
	packets, err := nfqueue.Open(&nfqueue.Config{
		NfQueue:      queue,
		MaxPacketLen: 128, // the headers
		MaxQueueLen:  1024,
		Copymode:     nfqueue.NfQnlCopyPacket,
		// The kernel does not split large packets for the queue.
		Flags: nfqueue.NfQaCfgFlagGSO,
	})
	if err != nil {
		klog.Fatalf("cannot open packet queue %d: %v", queue, err)
	}
	defer packets.Close()

	decide := func(attribute nfqueue.Attribute) int {
		verdict := nfqueue.NfDrop
		if accepted(ctx, engine, *attribute.Payload) {
			verdict = nfqueue.NfAccept
		}
		if err := packets.SetVerdict(*attribute.PacketID, verdict); err != nil {
			klog.Errorf("cannot return a verdict: %v", err)
		}
		return 0
	}
	fail := func(err error) int {
		klog.Errorf("cannot receive packets: %v", err)
		return 0
	}
	if err := packets.RegisterWithErrorFunc(ctx, decide, fail); err != nil {
		klog.Fatalf("cannot receive packets: %v", err)
	}
	restore := exec.CommandContext(ctx, "iptables-restore", "--noflush")
	restore.Stdin = strings.NewReader(rules)
	if output, err := restore.CombinedOutput(); err != nil {
		klog.Fatalf("iptables-restore: %v: %s", err, output)
	}

	// Served only from here on: healthy means that policies are enforced.
	http.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	go func() { klog.Fatal(http.ListenAndServe(*health, nil)) }()
	<-ctx.Done()
}

// newEngine returns an engine that knows all pods, namespaces and policies of the cluster.
func newEngine(ctx context.Context, kubeconfig, node string) (*networkpolicy.PolicyEngine, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	namespaces := factory.Core().V1().Namespaces()
	pods := factory.Core().V1().Pods()
	resolver, err := podinfo.NewInformerResolver(pods.Informer())
	if err != nil {
		return nil, err
	}
	policies := networkpolicy.NewStandardNetworkPolicy(node, namespaces, pods, factory.Networking().V1().NetworkPolicies())
	provider := podinfo.NewInformerProvider(pods, namespaces, nil, []podinfo.IPResolver{resolver})
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, fmt.Errorf("cannot list %v", kind)
		}
	}
	return networkpolicy.NewPolicyEngine(provider, []api.PolicyEvaluator{policies}), nil
}

// accepted returns whether the policies allow a packet. A packet that cannot be read is dropped.
func accepted(ctx context.Context, engine *networkpolicy.PolicyEngine, payload []byte) bool {
	packet, err := network.ParsePacket(payload)
	if err != nil {
		klog.Errorf("cannot read a packet: %v", err)
		return false
	}
	allowed, err := engine.EvaluatePacket(ctx, &packet)
	if err != nil {
		klog.Errorf("cannot evaluate %v:%d -> %v:%d: %v", packet.SrcIP, packet.SrcPort, packet.DstIP, packet.DstPort, err)
		return false
	}
	if !allowed {
		klog.Infof("dropped %s %v:%d -> %v:%d", packet.Proto, packet.SrcIP, packet.SrcPort, packet.DstIP, packet.DstPort)
	}
	return allowed
}
