package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// load sends the same request over and over on that many connections and
// returns how many were answered by 200. Any other answer is an error.
func load(ctx context.Context, addr, request string, connections int, d time.Duration) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var wg sync.WaitGroup
	counts, faults := make([]int, connections), make([]error, connections)
	for i := range connections {
		wg.Go(func() { counts[i], faults[i] = loadOne(ctx, addr, request) })
	}
	wg.Wait()
	total := 0
	for i := range connections {
		if faults[i] != nil {
			return 0, faults[i]
		}
		total += counts[i]
	}
	return total, nil
}

func loadOne(ctx context.Context, addr, request string) (int, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	for n := 0; ; n++ {
		if ctx.Err() != nil {
			return n, nil
		}
		if _, err := io.WriteString(conn, request); err != nil {
			return n, err
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return n, err
		}
		if resp.StatusCode != http.StatusOK {
			text, _ := io.ReadAll(io.LimitReader(resp.Body, 500)) // for the message alone
			return n, fmt.Errorf("status %d: %s", resp.StatusCode, text)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return n, err
		}
	}
}
