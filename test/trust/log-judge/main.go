// Judges a log with the libraries of Go's checksum database, which share no code with ours: golang.org/x/mod/sumdb/note for the
// checkpoint's signature, sumdb/tlog for proofs, crypto/ed25519 for cosignatures. Reads one JSON document on standard input.
// Prints "ok", or why not and exits with 1.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type inclusion struct {
	Index int64
	Entry []byte
	Proof [][]byte
}

type consistency struct {
	OldSize int64
	OldRoot []byte
	Proof   [][]byte
}

type cosigner struct {
	Name      string
	PublicKey []byte
}

type document struct {
	Vkey        string
	Checkpoint  string
	Inclusions  []inclusion
	Consistency []consistency
	Cosigners   []cosigner
}

func fail(format string, values ...any) {
	fmt.Printf(format+"\n", values...)
	os.Exit(1)
}

func hash(bytes []byte) (h tlog.Hash) {
	if len(bytes) != tlog.HashSize {
		fail("a hash has %d bytes", len(bytes))
	}
	copy(h[:], bytes)
	return h
}

func hashes(list [][]byte) (all []tlog.Hash) {
	for _, one := range list {
		all = append(all, hash(one))
	}
	return all
}

func main() {
	var given document
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fail("input: %v", err)
	}
	verifier, err := note.NewVerifier(given.Vkey)
	if err != nil {
		fail("vkey: %v", err)
	}
	opened, err := note.Open([]byte(given.Checkpoint), note.VerifierList(verifier))
	if err != nil {
		fail("checkpoint: %v", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		fail("checkpoint: fewer than three lines, or another origin")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		fail("size: %v", err)
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		fail("root: %v", err)
	}
	for _, one := range given.Inclusions {
		if err := tlog.CheckRecord(hashes(one.Proof), size, root, one.Index, tlog.RecordHash(one.Entry)); err != nil {
			fail("inclusion of %d: %v", one.Index, err)
		}
	}
	for _, one := range given.Consistency {
		if err := tlog.CheckTree(hashes(one.Proof), size, root, one.OldSize, hash(one.OldRoot)); err != nil {
			fail("consistency with %d: %v", one.OldSize, err)
		}
	}
	for _, one := range given.Cosigners {
		if !cosigned(opened, one) {
			fail("cosignature of %s", one.Name)
		}
	}
	fmt.Println("ok")
}

// c2sp.org/tlog-cosignature, type 0x04: eight bytes of time, then Ed25519 over two lines and the checkpoint.
func cosigned(opened *note.Note, by cosigner) bool {
	for _, signature := range opened.UnverifiedSigs {
		bytes, err := base64.StdEncoding.DecodeString(signature.Base64)
		if err != nil || signature.Name != by.Name || len(bytes) != 4+8+ed25519.SignatureSize {
			continue
		}
		message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(bytes[4:12]), opened.Text)
		if ed25519.Verify(by.PublicKey, []byte(message), bytes[12:]) {
			return true
		}
	}
	return false
}
