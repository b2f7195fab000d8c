package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	largeAnswer   = 100 << 20 // bytes of each answer
	largeAnswers  = 20        // at once
	memoryCeiling = 150 << 20 // bytes of the process

	// memoryGOGC is the environment variable that sets the GOGC of the process
	// that is measured. Without it that is as shipped.
	memoryGOGC = "PROMGATE_TEST_GOGC"
)

// answerLarge answers with a block over and over. A gzip member in a row with
// others is one stream with them.
func answerLarge(encoding string, block []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", encoding)
		for range largeAnswer >> 20 {
			if _, err := w.Write(block); err != nil {
				return // the client is gone
			}
		}
	}
}

// gzipped is a block as a gzip member of about its size.
func gzipped(t *testing.T, block []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	must(t, err)
	_, err = w.Write(block)
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// buildProgram builds promgate as it is shipped, without the race detector.
func buildProgram(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "promgate")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, ".") // as make build does
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// kubeconfig writes a kubeconfig for an API server.
func kubeconfig(t *testing.T, server string, trusted *certificate) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, path, fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: local
clusters: [{name: local, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: gateway, user: {token: of-the-gateway}}]
contexts: [{name: local, context: {cluster: local, user: gateway}}]
`, server, trusted.certFile))
	return path
}

// TestMemory reads 20 answers of 100 MiB at once, half of them by clients that
// stop reading until the others are done.
func TestMemory(t *testing.T) {
	binary := buildProgram(t)
	block := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	member := gzipped(t, block)
	plain, packed := newUpstream(t), newUpstream(t)
	plain.answerWith(answerLarge("identity", block))
	packed.answerWith(answerLarge("gzip", member))
	trusted := newCertificate(t, t.TempDir())
	apiServer := startUpstream(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{Certificates: []tls.Certificate{trusted.pair(t)}, MinVersion: tls.VersionTLS12}
		s.EnableHTTP2 = true
		s.StartTLS()
	})
	apiServer.answerWith(func(w http.ResponseWriter, r *http.Request) {
		if want := "/api/v1/namespaces/shop/services/http:prometheus:web/proxy/api/v1/query"; r.ProtoMajor != 2 || r.URL.Path != want {
			answerText(w, http.StatusTeapot, "text/plain", "asked in the wrong way")
			return
		}
		answerLarge("identity", block)(w, r)
	})
	config := configure(t, preamble+fmt.Sprintf("clusters: [{name: local, kubeconfig: %q}]\n", kubeconfig(t, apiServer.URL, trusted))+
		shop("plain", plain.URL, "packed", packed.URL)+
		"      - {name: cluster, service: {cluster: local, namespace: shop, name: prometheus, port: web}}\n")
	p := spawn(t, config, binary, "GOGC="+os.Getenv(memoryGOGC))
	token := createToken(t, config)
	eventually(t, patience, func() error { return wantStatus(fetch(p.query("nothing"), token), http.StatusForbidden) })
	for _, c := range []struct {
		name, environment, encoding string
		bytes                       int
	}{
		{"HTTP/1.1", "plain", "identity", largeAnswer},
		{"HTTP/2 and TLS", "cluster", "identity", largeAnswer},
		{"gzip passed through", "packed", "gzip", len(member) * largeAnswer >> 20},
		{"gzip decoded", "packed", "identity", largeAnswer},
	} {
		must(t, readLargeAnswers(p, c.environment, token, c.encoding, c.bytes))
		peak := p.peakMemory()
		t.Logf("%-20s peak RSS so far %d MiB", c.name, peak>>20)
		if peak > memoryCeiling {
			t.Errorf("%s: the process took %d MiB, over %d", c.name, peak>>20, memoryCeiling>>20)
		}
	}
}

// readLargeAnswers reads all answers at once. Every second client reads one
// block and goes on only when the others have read all of theirs.
func readLargeAnswers(p *program, environment, token, encoding string, want int) error {
	client := newClient(p.t, nil, false)
	results := make(chan error, largeAnswers)
	fastDone := make(chan struct{})
	var fast sync.WaitGroup
	for i := range largeAnswers {
		read := func() {
			request, err := http.NewRequest(http.MethodGet, p.query(environment), nil)
			if err != nil {
				results <- err
				return
			}
			request.Header.Set("Authorization", "Bearer "+token)
			request.Header.Set("Accept-Encoding", encoding)
			results <- readLargeAnswer(client, request, want, i%2 == 1, fastDone)
		}
		if i%2 == 0 {
			fast.Go(read)
		} else {
			go read()
		}
	}
	go func() {
		fast.Wait()
		close(fastDone)
	}()
	var errs []error
	for range largeAnswers {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

func readLargeAnswer(client *http.Client, request *http.Request, want int, slow bool, resume <-chan struct{}) error {
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got := int64(0)
	if slow {
		if got, err = io.CopyN(io.Discard, response.Body, 64<<10); err != nil {
			return err
		}
		<-resume
	}
	rest, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, response.Body, make([]byte, 256<<10))
	if got += rest; response.StatusCode != http.StatusOK || got != int64(want) || err != nil {
		return fmt.Errorf("status %d, %d of %d bytes, error %w", response.StatusCode, got, want, err)
	}
	return nil
}

// peakMemory is the largest resident set that the process has had, in bytes.
func (p *program) peakMemory() int {
	p.t.Helper()
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", p.process.Pid))
	must(p.t, err)
	defer status.Close()
	lines := bufio.NewScanner(status)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), "VmHWM:"); found {
			kilobytes, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			must(p.t, err)
			return kilobytes << 10
		}
	}
	p.t.Fatal("the process has no VmHWM")
	return 0
}
