"""Editing the cluster's own settings. Administrators only."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from monitoring.models import Cluster
from monitoring.service import topology
from monitoring.web.edits import carry_out, done, who
from monitoring.web.forms import ClusterForm
from monitoring.web.roles import require_administrator


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest) -> HttpResponse:
    """Name, heartbeats, leases and limits."""
    cluster = Cluster.objects.get()
    form = ClusterForm.showing(cluster, request.POST or None)

    def edit() -> None:
        topology.edit_cluster(form.values(), by=who(request), reason=form.cleaned_data["reason"])

    if request.method == "POST" and carry_out(form, edit):
        return done(request, "The settings were saved.", "overview")
    context = {"form": form, "edited": cluster}
    return render(request, "cluster/settings.html", context, status=422 if form.errors else 200)
