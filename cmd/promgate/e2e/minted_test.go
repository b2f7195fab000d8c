package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestSecret: an object that somebody applies becomes a token in a Secret, which is renewed before it ends. Two gateways may do
// it, and neither may read a Secret.
func TestSecret(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "minted")
	const short = ", lifetime: 15s, overlap: 5s"
	one, two := serve(t, k.configuration(k.kubeconfig, short)), serve(t, k.configuration(k.kubeconfig, short))
	applied(t, k.namespace, k.home, `
apiVersion: promgate.io/v1alpha1
kind: EndpointToken
metadata: {name: grafana, namespace: NAMESPACE}
spec: {environment: production, description: Grafana, secretName: grafana}
`)
	var first string
	took := eventually(t, func() (err error) {
		first, err = k.secretOf("grafana")
		return err
	})
	t.Logf("the Secret was there %s after the object", took.Round(time.Millisecond))
	k.accepted(first, one, two)
	o := k.object("grafana")
	eventually(t, func() error {
		if status, reason, message := condition(k.object("grafana")); status != "True" {
			return fmt.Errorf("%s: %s", reason, message)
		}
		return nil
	})
	s, err := controlPlane(t).Client().CoreV1().Secrets(k.namespace).Get(t.Context(), "grafana", metav1.GetOptions{})
	must(t, err)
	if len(s.OwnerReferences) != 1 || s.OwnerReferences[0].UID != o.GetUID() || len(s.Data) != 1 {
		t.Errorf("the Secret is %v with %d entries", s.ObjectMeta, len(s.Data))
	}
	var second string
	eventually(t, func() error {
		if second, err = k.secretOf("grafana"); err != nil || second == first {
			return fmt.Errorf("no successor: %v", err)
		}
		return nil
	})
	// Both are good for a while, on both gateways.
	k.accepted(second, one, two)
	check(t, wantStatus(k.query(one, first), http.StatusOK))
	k.refused(first, one, two)
	// What is in the Secret is good at any time.
	until := time.After(15 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for renewed, over := false, false; !over; {
		select {
		case <-until:
			over = true
			if !renewed {
				t.Error("there was no second successor")
			}
		case <-tick.C:
			now, err := k.secretOf("grafana")
			must(t, err)
			renewed = renewed || now != second
			check(t, wantStatus(k.query(one, now), http.StatusOK))
		}
	}
	last, err := k.secretOf("grafana")
	must(t, err)
	k.delete("grafana")
	k.refused(last, one, two)
	for _, g := range []*running{one, two} {
		for _, secret := range []string{first, second, last} {
			if strings.Contains(g.log.String(), secret) {
				t.Error("a token is in the log")
			}
		}
	}
}

// TestForeignSecret: what the gateway did not make it leaves alone, and says so; so it does where it has no right.
func TestForeignSecret(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "foreign")
	g := serve(t, k.configuration(k.kubeconfig, ""))
	client := controlPlane(t).Client().CoreV1().Secrets(k.namespace)
	mine, err := client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "foreign"}, Data: map[string][]byte{"token": []byte("somebody's own")},
	}, metav1.CreateOptions{})
	must(t, err)
	applied(t, k.namespace, k.home, `
apiVersion: promgate.io/v1alpha1
kind: EndpointToken
metadata: {name: takes, namespace: NAMESPACE}
spec: {secretName: foreign}
---
apiVersion: promgate.io/v1alpha1
kind: EndpointToken
metadata: {name: denied, namespace: NAMESPACE}
spec: {secretName: denied}
`)
	wantReason := func(name, reason string, words ...string) {
		t.Helper()
		eventually(t, func() error {
			status, got, message := condition(k.object(name))
			for _, w := range words {
				if !strings.Contains(message, w) {
					return fmt.Errorf("%s: %s %s has no %q", name, got, message, w)
				}
			}
			if status != "False" || got != reason {
				return fmt.Errorf("%s: %s %s: %s", name, status, got, message)
			}
			return nil
		})
	}
	wantReason("takes", "SecretExists", "foreign", "secretName")
	now, err := client.Get(t.Context(), "foreign", metav1.GetOptions{})
	must(t, err)
	if now.ResourceVersion != mine.ResourceVersion {
		t.Errorf("the Secret was changed: %v", now)
	}
	// To create Secrets is allowed, to change this one is not. The log has the Role, which is enough as it stands.
	wantReason("denied", "SecretForbidden", "denied", "grant it")
	var record map[string]any
	g.log.await(t, "the Role for Secrets", g.ended, func(line string) bool {
		record = nil
		return decode(answer{body: line}, &record) == nil && strings.Contains(fmt.Sprint(record["advice"]), `"denied"`)
	})
	must(t, controlPlane(t).Apply(t.Context(), []byte(record["advice"].(string))))
	var secret string
	eventually(t, func() (err error) {
		secret, err = k.secretOf("denied")
		return err
	})
	k.accepted(secret, g) // it opens every environment of the project
	if status, reason, message := condition(k.object("takes")); status != "False" || reason != "SecretExists" {
		t.Errorf("takes: %s %s: %s", status, reason, message)
	}
}

// TestObjectsByHand: kubectl shows tokens so that they can be read, and the API server refuses what makes no sense.
func TestObjectsByHand(t *testing.T) {
	t.Parallel()
	k := newKeeper(t, "byhand")
	g := serve(t, k.configuration(k.kubeconfig, ""))
	secret := k.create(k.configuration(k.kubeconfig, ""), "--description", "Grafana of the team")
	k.accepted(secret, g)
	d := deployment{t: t, cluster: controlPlane(t), dir: t.TempDir()}
	eventually(t, func() error {
		if used, _, _ := unstructured.NestedString(k.object(k.named("Grafana of the team")).Object, "status", "lastUsedAt"); used == "" {
			return fmt.Errorf("its use is not noted")
		}
		return nil
	})
	for _, c := range []struct {
		args  string
		words []string
	}{
		{"get endpointtokens -n byhand", []string{"NAME", "ENVIRONMENT", "PHASE", "EXPIRES", "LAST USED", "SECRET", "AGE", "production", "Active"}},
		{"get ept -n byhand -o wide", []string{"DESCRIPTION", "ID", "Grafana of the team"}},
		{"describe endpointtokens -n byhand", []string{"Environment:", "production", "Phase:", "Active", "Ready", "Issued", "the token is good until"}},
		{"explain endpointtoken.spec", []string{"environment", "expiresAt", "secretName", "Name of the environment that the token opens"}},
		{"explain endpointtoken.status", []string{"lastUsedAt", "It never holds the token itself"}},
	} {
		text := d.kubectl(strings.Fields(c.args)...)
		t.Logf("kubectl %s\n%s", c.args, text)
		for _, w := range c.words {
			if !strings.Contains(text, w) {
				t.Errorf("kubectl %s prints no %q", c.args, w)
			}
		}
		if strings.Contains(text, secret) {
			t.Errorf("kubectl %s prints the token", c.args)
		}
	}
	k.wantRefused(map[string]string{
		"neither end nor Secret":  "spec: {description: x}",
		"environment of no form":  "spec: {environment: A b, secretName: s}",
		"time of no form":         "spec: {expiresAt: tomorrow}",
		"Secret of no form":       "spec: {secretName: A_b}",
		"description without end": "spec: {secretName: s, description: " + strings.Repeat("x", 201) + "}",
		"unknown field":           "spec: {secretName: s, project: other}",
	})
	k.wantUnchangeable()
}

func (k *keeper) wantRefused(specs map[string]string) {
	k.t.Helper()
	for name, text := range specs {
		err := controlPlane(k.t).Apply(k.t.Context(), []byte("apiVersion: promgate.io/v1alpha1\nkind: EndpointToken\nmetadata: {name: bad, namespace: "+k.namespace+"}\n"+text+"\n"))
		if err == nil {
			k.t.Errorf("%s: accepted", name)
		}
	}
}

// wantUnchangeable: what a token opens is settled when it is made.
func (k *keeper) wantUnchangeable() {
	k.t.Helper()
	o := k.object(k.named("Grafana of the team"))
	for name, change := range map[string]func(spec map[string]any){
		"environment":      func(s map[string]any) { s["environment"] = "staging" },
		"environment gone": func(s map[string]any) { delete(s, "environment") },
		"secretName added": func(s map[string]any) { s["secretName"] = "s" },
		"expiresAt taken":  func(s map[string]any) { delete(s, "expiresAt") },
	} {
		changed := o.DeepCopy()
		change(changed.Object["spec"].(map[string]any))
		if _, err := k.objects.Update(k.t.Context(), changed, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
			k.t.Errorf("%s: got %v", name, err)
		}
	}
}
