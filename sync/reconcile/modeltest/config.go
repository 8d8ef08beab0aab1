package modeltest

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dirsweep/dirsweep/sync/guard"
	"github.com/dirsweep/dirsweep/sync/mapping"
	"github.com/dirsweep/dirsweep/sync/reconcile"
	"github.com/dirsweep/dirsweep/sync/sweep"
)

// The limits of the guard, small so that holds happen.
const (
	sweepCount = 3
	floor      = 3 // of leavers who are proven one by one
	window     = 24 * time.Hour
	grace      = 48 * time.Hour
)

// A Site is every config that a history may have, compiled once.
type Site struct {
	sources [2]*mapping.Source                    // whose config names no dates, and whose does
	targets [targetCount][2][2][2]*mapping.Target // narrow, long, managed
}

var scopes = [targetCount][2]string{
	wiki: {`true`, `person.departmentNumber != "ops"`},
	chat: {`member_of("staff")`, `member_of("staff") && person.departmentNumber != "ops"`},
	crm:  {`person.departmentNumber != "lab"`, `person.departmentNumber != "lab" && person.departmentNumber != "ops"`},
}

var displays = [2]string{`person.cn`, `"${person.cn} (${person.departmentNumber})"`}

// NewSite compiles the configs.
func NewSite() (*Site, error) {
	schema := mapping.Schema{Attributes: []string{
		"cn", "departmentNumber", "employeeNumber", "enterDate", "leaveDate", "title", "uid",
	}}
	s := &Site{}
	for dated, text := range []string{"", "leave_date = person.leaveDate\nenter_date = person.enterDate\n"} {
		exprs, env, err := parse("source.hcl", "rehire = person.employeeNumber\n"+text)
		if err != nil {
			return nil, err
		}
		compiled, diags := mapping.CompileSource(mapping.SourceExpressions{
			Rehire: exprs["rehire"], Leave: exprs["leave_date"], Enter: exprs["enter_date"],
		}, schema, env)
		if diags.HasErrors() {
			return nil, diags
		}
		s.sources[dated] = compiled
	}
	for t := range targetCount {
		for narrow := range 2 {
			for long := range 2 {
				text := fmt.Sprintf("scope = %s\naccount = {\n userName = person.uid\n displayName = %s\n title = person.title\n}\n",
					scopes[t][narrow], displays[long])
				if t == chat {
					text += `entitlements = [for g in person.groups : g if startswith(g, "chat-")]` + "\n"
				}
				for managed, patterns := range []string{"", "manage = [\"chat-*\"]\n"} {
					if t != chat {
						patterns = ""
					}
					compiled, err := compileTarget(targetNames[t]+".hcl", text+patterns, schema)
					if err != nil {
						return nil, err
					}
					s.targets[t][narrow][long][managed] = compiled
				}
			}
		}
	}
	return s, nil
}

func compileTarget(name, text string, schema mapping.Schema) (*mapping.Target, error) {
	exprs, env, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	compiled, diags := mapping.CompileTarget(mapping.TargetExpressions{
		Scope: exprs["scope"], Account: exprs["account"], Entitlements: exprs["entitlements"], Manage: exprs["manage"],
	}, []mapping.Schema{schema, schema}, env)
	if diags.HasErrors() {
		return nil, diags
	}
	return compiled, nil
}

func parse(name, text string) (map[string]hcl.Expression, mapping.Env, error) {
	parser := hclparse.NewParser()
	file, diags := parser.ParseHCL([]byte(text), name)
	if diags.HasErrors() {
		return nil, mapping.Env{}, diags
	}
	attrs, diags := file.Body.JustAttributes()
	if diags.HasErrors() {
		return nil, mapping.Env{}, diags
	}
	exprs := map[string]hcl.Expression{}
	for name, attr := range attrs {
		exprs[name] = attr.Expr
	}
	return exprs, mapping.Env{Files: parser.Files()}, nil
}

// options are the engine's, under the config of now.
func (w *world) options() reconcile.Options {
	general := guard.Default()
	general.MaxShrinkPercent = 100
	o := reconcile.Options{
		Guard: general, Ledger: w.ledger, Trail: w.trail, Scratch: w.dir, Log: w.log, Now: w.now,
	}
	for n := range sourceCount {
		o.Sources = append(o.Sources, reconcile.Source{
			Name: sourceNames[n], Source: w.sourceOf(n), Mapping: w.site.sources[index(w.dated)], Directory: w.directory(n),
		})
	}
	for n, app := range w.applications {
		c := w.model.config
		compiled := w.site.targets[n][index(c.narrow[n])][index(c.long[n])][index(c.managed)]
		limits := guard.Default()
		limits.MaxSweepPercent, limits.MaxSweepCount, limits.Window = 100, sweepCount, window
		t := reconcile.Target{
			Name: targetNames[n], Session: w.session(app, compiled.Paths()), Mapping: compiled, Parallel: 2,
			Sources: sourceNames[:], Correlate: []string{"externalId", "userName"}, Leaver: sweep.Default(n == chat), LeaverAt: "config.hcl:1",
			OnOrphan: "report", OnDrift: "repair", Guard: limits,
		}
		if n == crm {
			t.Sources, t.Leaver.DeleteAfter = sourceNames[:1], grace
		}
		o.Targets = append(o.Targets, t)
	}
	return o
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}
