"""To whom chains and models are offered."""

from conftest import Cast, Catalogue
from proxy.models import Model, ModelChain


def test_what_was_offered_to_a_deleted_tenant_alone_is_switched_off(cast: Cast, catalogue: Catalogue):
    alone, shared, public = (catalogue.chain(name) for name in ("alone", "shared", "for-all"))
    model = catalogue.model("fake/one")
    alone.tenants.set([cast.globex])
    model.tenants.set([cast.globex])
    shared.tenants.set([cast.globex, cast.acme])
    cast.charlie.user.delete()
    cast.globex.delete()
    assert not ModelChain.objects.get(pk=alone.pk).is_active
    assert not Model.objects.get(pk=model.pk).is_active
    assert ModelChain.objects.get(pk=shared.pk).is_active
    assert ModelChain.objects.get(pk=public.pk).is_active
