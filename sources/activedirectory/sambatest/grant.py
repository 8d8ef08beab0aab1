# Lets an account see deleted objects: dsacls "CN=Deleted Objects,DC=…" /G ACCOUNT:LCRP does the same on Windows.
import sys

import ldb
from samba.auth import system_session
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack
from samba.param import LoadParm
from samba.samdb import SamDB

conf, path, base, account = sys.argv[1:]
params = LoadParm()
params.load(conf)
db = SamDB(url=path, session_info=system_session(), lp=params)
found = db.search(base=base, expression="(sAMAccountName=%s)" % account, attrs=["objectSid"])
sid = str(ndr_unpack(security.dom_sid, found[0]["objectSid"][0]))
domain = security.dom_sid(sid.rsplit("-", 1)[0])
container = "CN=Deleted Objects," + base
found = db.search(base=container, scope=ldb.SCOPE_BASE, attrs=["nTSecurityDescriptor"], controls=["show_deleted:1", "sd_flags:1:7"])
rules = ndr_unpack(security.descriptor, found[0]["nTSecurityDescriptor"][0]).as_sddl(domain)
first = rules.index("(", rules.index("D:"))
rules = rules[:first] + "(A;CI;LCRPLORC;;;%s)" % sid + rules[first:]
change = ldb.Message()
change.dn = ldb.Dn(db, container)
change["nTSecurityDescriptor"] = ldb.MessageElement(
    ndr_pack(security.descriptor.from_sddl(rules, domain)), ldb.FLAG_MOD_REPLACE, "nTSecurityDescriptor")
db.modify(change, controls=["show_deleted:1", "sd_flags:1:4", "relax:0"])
