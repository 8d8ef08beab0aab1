package demo

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"github.com/elimity-com/scim"
	"github.com/hashicorp/go-hclog"
)

//go:embed config.hcl.tmpl
var configTemplate string

// companySize is how many people the demo begins with.
const companySize = 200

// world is everything around dirsweep: a company, its directory, two applications, and a folder with the config.
type world struct {
	company   *company
	directory *ldapServer
	wiki      *application
	chat      *application
	dir       string
	others    []string // userNames in the wiki that are nobody's and must stay as they are
}

// schedule is what differs between a scripted day and a demo that goes on.
type schedule struct{ full, window string }

// newWorld starts the servers and writes the config into a new folder. close ends it all.
func newWorld(ctx context.Context, s schedule, log hclog.Logger) (*world, error) {
	dir, err := os.MkdirTemp("", "dirsweep-demo-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir}
	if err := w.open(ctx, s, log); err != nil {
		return nil, errors.Join(err, w.close(false))
	}
	return w, nil
}

func (w *world) open(ctx context.Context, s schedule, log hclog.Logger) error {
	password, wikiToken, chatToken := rand.Text(), rand.Text(), rand.Text()
	d := &directory{}
	var err error
	if w.company, err = newCompany(d, companySize); err != nil {
		return err
	}
	if w.directory, err = serveLDAP(ctx, d, readerDN, password, log.Named("directory")); err != nil {
		return err
	}
	if w.wiki, err = serveSCIM(ctx, "wiki", wikiToken); err != nil {
		return err
	}
	if w.chat, err = serveSCIM(ctx, "chat", chatToken, w.company.channels()...); err != nil {
		return err
	}
	w.furnish()
	for name, text := range map[string]string{"ldap.password": password, "wiki.token": wikiToken, "chat.token": chatToken} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text+"\n"), 0o600); err != nil {
			return err
		}
	}
	return w.writeConfig(s)
}

// furnish fills the wiki as one finds applications: with an account that fits a person, one of a contractor that fits
// nobody, and its own.
func (w *world) furnish() {
	first := w.company.everyone()[0]
	w.others = []string{"administrator", "old.contractor"}
	for _, userName := range append([]string{first.uid}, w.others...) {
		w.wiki.put(scim.ResourceAttributes{"userName": userName, "displayName": userName, "active": true})
	}
}

func (w *world) configPath() string { return filepath.Join(w.dir, "config.hcl") }

func (w *world) writeConfig(s schedule) error {
	t, err := template.New("config.hcl").Parse(configTemplate)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(w.configPath(), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = t.Execute(f, map[string]string{
		"Full": s.full, "Window": s.window, "LDAP": w.directory.URL(), "Wiki": w.wiki.URL(), "Chat": w.chat.URL(),
	})
	return errors.Join(err, f.Close())
}

// close ends the servers, and removes the folder unless it is to be kept.
func (w *world) close(keep bool) error {
	for _, a := range []*application{w.wiki, w.chat} {
		if a != nil {
			a.Close()
		}
	}
	if w.directory != nil {
		w.directory.Close()
	}
	if keep {
		return nil
	}
	if err := os.RemoveAll(w.dir); err != nil {
		return fmt.Errorf("remove the demo's folder: %w", err)
	}
	return nil
}
