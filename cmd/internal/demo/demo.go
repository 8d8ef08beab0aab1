// Package demo shows the main job with nothing to set up: an LDAP directory and two SCIM applications in memory, on loopback, and the real
// engine, config and state file between them. People join, move and leave; the demo reads the applications itself to say whether all is right.
package demo
