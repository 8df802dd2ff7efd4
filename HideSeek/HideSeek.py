"""HideSeek module: the shell that Slicer loads; everything it does is in HideSeekLib."""

import sys
from pathlib import Path

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

HOMEPAGE = "https://github.com/hideseek-slicer/SlicerHideSeek"

# Run from a source tree, the library lies beside the module's folder and comes before that of an
# installed extension, which has both in the folder of scripted modules.
_NEIGHBOUR = Path(__file__).resolve().parent.parent
if (_NEIGHBOUR / "HideSeekLib" / "__init__.py").is_file():
    sys.path[:] = [str(_NEIGHBOUR), *(p for p in sys.path if p != str(_NEIGHBOUR))]


OLDEST_SLICER = (5, 10)


class HideSeek(ScriptedLoadableModule):
    """What Slicer shows about the module before it is opened."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("HideSeek")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "SegmentEditor", "Terminologies", "SampleData"]
        parent.contributors = [_("The HideSeek contributors")]
        parent.helpText = (
            _(
                "Finds candidates for lytic and blastic metastases in vertebrae on CT: a diffusion "
                "autoencoder makes a healthy edit of a vertebra, what changed gives candidates, "
                "and Hide-and-Seek Attribution scores each of them (Δ).<br>"
                "Choose a CT and a vertebra segmentation, screen all levels or pick one in a slice "
                "view, then review the candidates and export the lesions.<br>"
                "<b>Research use only. Not cleared for diagnosis.</b>"
            )
            + f'<p><a href="{HOMEPAGE}#readme">{_("Documentation")}</a></p>'
        )
        parent.acknowledgementText = _(
            "The method follows Atad et al., Hide-and-Seek Attribution (2025), on diffusion "
            "autoencoders by Preechakul et al. (2022). A patent application on automated spinal "
            "instability scoring is known (WO 2024/098147); the worksheet here is filled and "
            "signed by a reader."
        )
        slicer.app.connect("startupCompleted()", registerData)


def registerData():
    """Offer the phantom in the Sample Data module, and our terms in the terminology selector.

    The phantom is made on this computer when asked for. The terms are wanted before there is a
    case: a reopened scene has segments that were coded with them.
    """
    from HideSeekLib.anatomy import terminology
    from HideSeekLib.setup import sample_data

    sample_data.register()
    terminology.register_in_slicer()


class HideSeekWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Holds the panel while the module is open."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None

    def setup(self):
        """Build the panel; starts no process and installs nothing."""
        ScriptedLoadableModuleWidget.setup(self)
        version = (slicer.app.majorVersion, slicer.app.minorVersion)
        if version < OLDEST_SLICER:
            import qt

            label = qt.QLabel(
                _("HideSeek needs Slicer {oldest} or newer; this is {version}.").format(
                    oldest=".".join(map(str, OLDEST_SLICER)), version=".".join(map(str, version))
                )
            )
            label.wordWrap = True
            self.layout.addWidget(label)
            return
        from HideSeekLib.panel.panel import HideSeekPanel

        self.logic = HideSeekLogic()
        self.panel = HideSeekPanel(self.resourcePath("UI/HideSeek.ui"), self.logic.parameterNode)
        self.layout.addWidget(self.panel.widget)

    def enter(self):
        """Follow the worker closely while the module is shown."""
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        """Leave pick mode and the flicker when the user goes to another module."""
        if self.panel is not None:
            self.panel.leave()

    def cleanup(self):
        """End the backend and let go of the scene."""
        panel, self.panel = self.panel, None
        if panel is not None:
            panel.close()
        self.removeObservers()

    def onReload(self):
        """Reload the library with the module."""
        self.cleanup()
        for name in [n for n in sys.modules if n.split(".")[0] == "HideSeekLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class HideSeekLogic(ScriptedLoadableModuleLogic):
    """Gives the parameter node; analysis and review are in HideSeekLib, usable without a panel."""

    def parameterNode(self):
        """Return the MRML node that keeps the panel's choices with the scene."""
        return ScriptedLoadableModuleLogic.getParameterNode(self)

    def getParameterNode(self):
        """Return the typed parameter node."""
        from HideSeekLib.panel.parameters import HideSeekParameterNode

        return HideSeekParameterNode(self.parameterNode())


class HideSeekTest(ScriptedLoadableModuleTest):
    """What only a real Slicer can prove quickly: the panel loads, binds and lets go."""

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run each test on an empty scene."""
        for test in (self.test_parameters, self.test_panel, self.test_levels):
            self.setUp()
            test()
        self.setUp()

    def test_parameters(self):
        """The parameter node keeps nodes and choices."""
        from HideSeekLib.panel.parameters import Polarity

        parameters = HideSeekLogic().getParameterNode()
        ct = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
        parameters.ct = ct
        parameters.polarity = Polarity.LYTIC
        parameters.levelOverrides = {"Segment_1": "T12"}
        again = HideSeekLogic().getParameterNode()
        _expect(again.ct, ct)
        _expect(again.polarity, Polarity.LYTIC)
        _expect(again.levelOverrides, {"Segment_1": "T12"})

    def test_panel(self):
        """The panel builds on the real widgets and follows the scene."""
        panel = _panel()
        ct = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
        panel.ui.ctSelector.setCurrentNode(ct)
        slicer.app.processEvents()
        _expect(panel.board.parameters.ct, ct)
        _expect(panel.ui.analyseButton.enabled, False)
        slicer.mrmlScene.Clear()
        slicer.app.processEvents()
        _expect(panel.board.parameters.ct, None)

    def test_levels(self):
        """Segments are matched to levels and shown in the table."""
        panel = _panel()
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Vertebrae")
        for name in ("vertebrae_T12", "L1 vertebra", "aorta"):
            node.GetSegmentation().AddEmptySegment(name, name)
        panel.ui.vertebraeSelector.setCurrentNode(node)
        slicer.app.processEvents()
        panel.board.match_inputs()
        _expect(panel.board.levels(), ("T12", "L1"))
        _expect(panel.ui.levelsTable.rowCount, 3)


def _panel():
    """Return the panel; without a main window there is no module selector to ask."""
    if slicer.util.mainWindow() is not None:
        slicer.util.selectModule("HideSeek")
    return slicer.modules.hideseek.widgetRepresentation().self().panel


def _expect(got, wanted):
    """Fail with both values; bare asserts say nothing when Slicer runs with -O."""
    if got != wanted:
        raise AssertionError(f"expected {wanted!r}, got {got!r}")
