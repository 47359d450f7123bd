// A receiver on Go's net/http.
package main

import (
	"context"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	ledger, err := os.OpenFile(os.Getenv("LEDGER"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	host, account := os.Getenv("CALLBACK_HOST"), os.Getenv("ANCHOR_SIGNING_KEY")
	slowSeconds, _ := strconv.ParseFloat(os.Getenv("SLOW_SECONDS"), 64)
	handler := func(w http.ResponseWriter, r *http.Request) {
		rawBody, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 65536))
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		if !IsFromAnchor(r.Header.Get("Signature"), host, rawBody, account, time.Minute) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.URL.Path == "/slow" {
			time.Sleep(time.Duration(slowSeconds * float64(time.Second)))
		}
		if r.URL.Path == "/close" {
			w.Header().Set("Connection", "close")
		}
		if _, err := ledger.WriteString(r.Header.Get("X-Event-Id") + "\n"); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: http.HandlerFunc(handler)}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		<-stopped
		_ = server.Shutdown(context.Background())
		close(done)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-done
}
