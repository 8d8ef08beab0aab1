package directory

import (
	"fmt"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"

	"github.com/dirsweep/dirsweep/sources/ldapclient"
)

// A decoder reads the arguments of a target block.
type decoder struct{ ldapclient.Decoder }

// name reads the name of an attribute.
func (d *decoder) name(argument, preset string) string {
	name := d.Text(argument, preset)
	if name != "" || d.Arguments[argument] != nil {
		d.Attribute(argument, name)
	}
	return name
}

func (d *decoder) list(argument string, preset ...string) []string {
	if list := d.Texts(argument); len(list) > 0 {
		return list
	}
	return preset
}

// initialPassword reads whether new accounts get a password.
func (d *decoder) initialPassword(preset bool) bool {
	switch text := d.Text("initial_password", ""); text {
	case "":
		return preset
	case "random", "none":
		return text == "random"
	default:
		d.Fail("initial_password", "Unknown password", fmt.Sprintf(
			`%q is neither "random" (a long one that nobody knows) nor "none".`, text))
		return preset
	}
}

// profiles reads by what accounts are disabled.
func (d *decoder) profiles() []door {
	known := profiles()
	var names []string
	for _, p := range known {
		names = append(names, p.name)
	}
	chosen := d.Texts("profile")
	if len(chosen) == 0 && !d.Bad["profile"] {
		d.Fail("profile", "No profile", "Directories have no common way to disable an account. Write profile = one of "+
			strings.Join(names, ", ")+`, or a list of them, such as ["openldap", "samba"]: every one of them is closed then.`)
	}
	var doors []door
	for _, name := range chosen {
		found := false
		for _, p := range known {
			if p.name == name {
				doors, found = append(doors, p.door), true
			}
		}
		if !found {
			detail := "Known profiles: " + strings.Join(names, ", ") + "."
			for _, candidate := range names {
				if levenshtein.Distance(strings.ToLower(name), candidate, nil) <= 2 {
					detail = fmt.Sprintf("Did you mean %q? %s", candidate, detail)
				}
			}
			d.Fail("profile", fmt.Sprintf("No profile %q", name), detail)
		}
	}
	return doors
}

// section decodes the one block of a type; nil where there is none.
func (d *decoder) section(blocks hcl.Blocks, name string, required string, arguments ...string) *decoder {
	var found *decoder
	for _, block := range blocks.OfType(name) {
		if found != nil {
			d.Diagnostics = d.Diagnostics.Append(&hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "A second " + name + " block", Detail: "One is enough.",
				Subject: block.DefRange.Ptr(),
			})
			break
		}
		schema := &hcl.BodySchema{}
		for _, argument := range arguments {
			schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: argument, Required: argument == required})
		}
		found = &decoder{ldapclient.Decoder{Reader: d.Inner(block.Body, schema)}}
	}
	return found
}

func (d *decoder) groups(blocks hcl.Blocks, domain bool) *groupsBlock {
	required, filter := "base_dn", groupsFilter
	if domain {
		required, filter = "", domainGroups
	}
	inner := d.section(blocks, groupsSection, required, "base_dn", "filter", "name", "placeholder_member")
	if inner == nil {
		if domain {
			return &groupsBlock{filter: filter, name: "cn"}
		}
		return nil
	}
	g := &groupsBlock{
		bases: inner.DNs("base_dn"), filter: inner.Filter("filter", filter), name: inner.name("name", "cn"),
		placeholder: inner.Text("placeholder_member", ""),
	}
	if g.placeholder != "" {
		inner.DNs("placeholder_member")
	}
	d.Diagnostics = d.Diagnostics.Extend(inner.Diagnostics)
	return g
}

func (d *decoder) closing(blocks hcl.Blocks, domain bool) closing {
	arguments := []string{"reset_password", "stamp", "move_to", "clear"}
	if domain {
		arguments = append(arguments, "expire", "hide")
	}
	inner := d.section(blocks, closedBlock, "", arguments...)
	c := closing{password: true}
	if inner == nil {
		return c
	}
	c.password = inner.Flag("reset_password", true)
	c.expire, c.hide = inner.Flag("expire", false), inner.Flag("hide", false)
	c.stamp = inner.name("stamp", "")
	c.moveTo = inner.Text("move_to", "")
	if c.moveTo != "" {
		inner.DNs("move_to")
	}
	c.clear = inner.Texts("clear")
	for _, attribute := range c.clear {
		inner.Attribute("clear", attribute)
		if why := reserved()[strings.ToLower(attribute)]; why != "" {
			inner.Fail("clear", "Not to be cleared", fmt.Sprintf("%s: %s.", attribute, why))
		}
	}
	d.Diagnostics = d.Diagnostics.Extend(inner.Diagnostics)
	return c
}
