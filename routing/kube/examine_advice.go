package kube

import "github.com/promgate/promgate/routing"

// kubeconfigAdvice tells what to do about a connection to the API server of a
// kubeconfig.
var kubeconfigAdvice = map[routing.Trouble]string{
	routing.TroubleName:      "the server in the kubeconfig is mistyped, or its name is known in another network only: correct it, or run the gateway where the name is known",
	routing.TroubleDNS:       "the DNS of the machine or pod that the gateway runs on is in trouble: look there first (/etc/resolv.conf, CoreDNS)",
	routing.TroubleRefused:   "the API server is stopped, or listens on another port: compare the server in the kubeconfig with where it runs",
	routing.TroubleTimeout:   "nothing answers at that address, or a firewall or NetworkPolicy drops what is sent there: check the server in the kubeconfig, and that the gateway may connect to it",
	routing.TroubleRoute:     "this machine or pod has no way to that network: check the server in the kubeconfig, and routes, VPN or NetworkPolicy",
	routing.TroubleUntrusted: "certificate-authority-data in the kubeconfig is of another cluster or an old one, or something on the way answers in the API server's place: take the kubeconfig from the cluster again",
	routing.TroubleExpired:   "the API server's certificate has to be renewed, or the clock of this machine is wrong",
	routing.TroubleMisnamed:  "use one of the names of the certificate in the kubeconfig's server, set tls-server-name there, or have the certificate made for this name",
	routing.TroublePlain:     "the port in the kubeconfig's server is one for plain HTTP: use the API server's TLS port, usually 6443 or 443",
	routing.TroubleRejected:  "the API server, or a proxy before it, does not take the kubeconfig's client certificate, or wants one: renew it",
	routing.TroubleClosed:    "the API server is stopping, or a proxy or load balancer before it has nobody to pass the connection to: try again; if it lasts, ask who runs the cluster",
	routing.TroubleOther:     "check the kubeconfig's server, and the network between the gateway and it",
}

// podAdvice tells what is to be done otherwise by a gateway that runs in a pod
// of the cluster: Kubernetes itself gives it address and credentials.
var podAdvice = map[routing.Trouble]string{
	routing.TroubleName:      "KUBERNETES_SERVICE_HOST of the pod names a host that is not known here: take it out of the pod's env, Kubernetes sets it itself",
	routing.TroubleRefused:   "the API server is stopped, or the cluster's network leads elsewhere: kubectl -n default get endpointslices -l kubernetes.io/service-name=kubernetes shows where it should lead",
	routing.TroubleTimeout:   "a NetworkPolicy of the gateway's namespace drops what is sent to the API server (mind its port behind the Service, often 6443), or the cluster's network is in trouble: allow it as egress",
	routing.TroubleRoute:     "the cluster's network does not lead to the API server: look at kube-proxy or what stands for it on the pod's node",
	routing.TroubleUntrusted: "the pod's ca.crt is of another or an old authority: if the cluster's authority was changed, start the pod again; otherwise something on the way answers in the API server's place",
	routing.TroubleMisnamed:  "the API server's certificate lacks the address of the Service kubernetes: have it made with that address",
	routing.TroublePlain:     "KUBERNETES_SERVICE_PORT of the pod is one for plain HTTP: take it out of the pod's env, Kubernetes sets it itself",
	routing.TroubleRejected:  "the API server, or a proxy before it, wants a client certificate, and a pod has none: let it take service account tokens, or give the gateway a kubeconfig",
	routing.TroubleOther:     "look at the network between the pod and the API server",
}

// connectionAdvice tells what to do about a connection to the API server.
func (c *Cluster) connectionAdvice(kind routing.Trouble) string {
	if text := podAdvice[kind]; c.InPod && text != "" {
		return text
	}
	return kubeconfigAdvice[kind]
}
